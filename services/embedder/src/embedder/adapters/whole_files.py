"""Files and folders that are written and deleted whole, on a file system that replicas share."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes, work: Path) -> None:
    """Write a file atomically, and flush it to disk. Raises OSError.

    `work`: folder on the same file system, for the file until it is complete.
    """
    with (
        tempfile.TemporaryDirectory(dir=work) as folder,
        tempfile.NamedTemporaryFile(dir=folder, delete=False) as file,
    ):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        Path(file.name).replace(path)


def delete_whole(folder: Path, work: Path) -> None:
    """Delete a folder, unless it is gone: rename it into `work` first, so that it disappears at
    once."""
    with (
        contextlib.suppress(FileNotFoundError),
        tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as bin_,
    ):
        folder.rename(Path(bin_) / folder.name)
