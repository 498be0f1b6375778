"""Files that a service keeps in a folder or bucket: `store` writes each whole, for models, exports
and backups. (Spaces and references are folders that Triton reads: servicekit.whole_files.)

Backups have one format, one store and one command for every service. A backup is a folder: files of
the service, and `manifest.json`, which is written last and names size and SHA-256 of each file. A
folder without a manifest is not a backup. With an operator's keys, `manifest.json.hmac` signs the
manifest, and thereby every byte of the backup. Folders are in a local folder or in a bucket:
`<root>/<backup id>`, or `<root>/<catalog>/<backup id>` where a service makes a backup of each
catalog.
"""
