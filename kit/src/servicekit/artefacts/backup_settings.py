"""Settings of backups, with the same names in every service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import fsspec
from pydantic import AfterValidator

from servicekit.config import Place, ServiceSettings


def known_store(url: str) -> str:
    """Return `url` if fsspec can open its kind of store. Raise ValueError, which does not repeat
    it."""
    try:
        if url:
            fsspec.get_filesystem_class(fsspec.core.split_protocol(url)[0] or "file")
            return url
    except (ValueError, ImportError):
        pass
    raise ValueError("neither a folder nor a URL of a store whose fsspec package is installed")


class BackupSettings(ServiceSettings):
    """Where backups are, and what signs them."""

    backups: Annotated[Place, AfterValidator(lambda url: url and known_store(url))] = ""
    """Folder or fsspec URL (such as s3://bucket/ranker-backups) of backups, which
    `python -m ranker.backups` makes; the worker notes each purge there, so that a restore does not
    undo it. Empty: no backup is made, and nothing is noted."""

    backup_keys_file: Path | None = None
    """Keys that sign backups (docs/operate/keys.md), one a line, the signing one first; reloaded
    when the file changes. If set, backups without a valid signature are restored only on explicit
    request (accept_unsigned)."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.backups and self.backup_keys_file is None:
            variable = self.variable("backup_keys_file")
            yield f"backups can be changed where they are stored: set {variable}"
