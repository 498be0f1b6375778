"""A catalog as one file that no engine owns.

A tar of plain members in a fixed order: `manifest.json`, then `tables/<name>.parquet`, then
`photos/<sha256>` in the order of their names, then `complete.json`. The manifest holds size and
SHA-256 of each table; the table of photos holds each photo's SHA-256, which is its name, and size.
So the manifest vouches for every byte behind it, and a file without its last member is no backup.
With an operator's keys, `manifest.json.hmac` and `complete.json.hmac` follow the two; the second
covers the first, so that no two backups can be mixed.

The Parquet files are neither compressed nor encoded by dictionary: photos and vectors don't shrink,
and so no file needs more memory to read than it shows.
"""
