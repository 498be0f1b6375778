"""Settings of backups, of the same names in every service."""

from pathlib import Path

from servicekit.config import Place, ServiceSettings


class BackupSettings(ServiceSettings):
    """Where backups are, and what signs them."""

    backups: Place = ""
    """Folder or fsspec URL (such as s3://bucket/backups) of backups, which
    `python -m SERVICE.backups` makes."""

    backup_keys_file: Path | None = None
    """Keys that sign backups (docs/operate/keys.md), one a line, the signing one first; taken up
    again when the file changes. With it, backups that none of them signed are not restored unless
    that is asked for."""
