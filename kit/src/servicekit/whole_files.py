"""Files and folders that are written and deleted whole, on a file system that replicas share."""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

DRAFT = ".draft"
"""Suffix of a file that is being written."""
ABANDONED_SECONDS = 3_600.0
"""Age of a draft whose writer was killed: a write takes seconds."""


def write_whole(path: Path, data: bytes, work: Path | None = None, *, durable: bool = True) -> None:
    """Write a file atomically, readable to this user only. Raises OSError.

    `work`: folder on the same file system, for the file until it is complete; None: its own.
    `durable`: flush it to disk.
    """
    folder = work or path.parent
    sweep(folder)
    file, draft = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.", suffix=DRAFT)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(data)
            opened.flush()
            if durable:
                os.fsync(opened.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


@cache
def sweep(folder: Path) -> None:
    """Delete drafts that killed processes left in a folder, once in a process."""
    delete_abandoned(folder.glob(f".*{DRAFT}"))


def delete_abandoned(drafts: Iterable[Path]) -> None:
    """Delete drafts of killed processes. Younger ones may be those of other processes."""
    for draft in drafts:
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > ABANDONED_SECONDS:
                draft.unlink()


def move_whole(source: Path, target: Path, work: Path) -> None:
    """Rename a folder durably, and replace the target if it exists."""
    for path in source.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    delete_whole(target, work)
    source.rename(target)
    sync_folder(target.parent)


def delete_whole(folder: Path, work: Path) -> None:
    """Delete a folder, unless it is gone: rename it into `work` first, so that it disappears at
    once."""
    work.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.suppress(FileNotFoundError),
        tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as bin_,
    ):
        folder.rename(Path(bin_) / folder.name)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
