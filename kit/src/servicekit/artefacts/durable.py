"""Durable writes of files, with group commit.

A file and each new folder above it need a sync of their own, one after another: five for a photo,
in threads that wait for the same journal. Here the files that arrived while the disk was busy are
written together, and one syncfs(2) makes them durable, like the group commit of databases. A slow
disk makes larger groups, not a longer queue.
"""

import asyncio
import ctypes
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import NamedTuple

from servicekit.tasks.promise import Promise

MOST_BYTES = 64 * 2**20
"""Bytes of a group above which no further files are added to it."""

ASIDE = ".old-"
"""Name prefix of a file that is about to be deleted."""

NEW = ".new-"
"""Name prefix of a file that is being written."""

UNSURE = 0
"""Modification time of a file whose sync failed: its bytes may be in memory alone, where later
syncs find nothing to do, so the next write writes them again."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Waiting(NamedTuple):
    path: Path
    data: bytes
    durable: Promise[None]


class DurableFolder:
    """Writes files below one folder of a local file system; for one event loop."""

    def __init__(self, root: Path) -> None:
        """Prepare a writer; the first write creates `root`."""
        self._root = root
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "durable")

    def close(self) -> None:
        """Wait for the current group."""
        self._thread.shutdown(wait=True)

    async def write(self, path: Path, data: bytes) -> None:
        """Return once file and name would survive a power cut. Raise OSError.

        A reader sees the file whole or not at all. A file that holds these bytes is only renewed.
        """
        loop = asyncio.get_running_loop()
        self._waiting.append(_Waiting(path, data, Promise()))
        done = self._waiting[-1].durable
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_all(), context=Context())
        await done.value()

    async def _write_all(self) -> None:
        """Write group after group, until no file waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._next_group()
            files = [(item.path, item.data) for item in group]
            try:
                outcomes = await loop.run_in_executor(self._thread, write, self._root, files)
            except Exception as error:  # the folder is missing, or the thread has ended
                outcomes = [error for _ in group]
            for item, outcome in zip(group, outcomes, strict=True):
                if outcome is None:
                    item.durable.keep(None)
                else:
                    item.durable.fail(outcome)

    def _next_group(self) -> list[_Waiting]:
        size, count = 0, 0
        while count < len(self._waiting) and size < MOST_BYTES:
            size += len(self._waiting[count].data)
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group


def write(root: Path, files: Sequence[tuple[Path, bytes]]) -> list[Exception | None]:
    """Make files below `root` durable together. Return for each its error. Raise OSError."""
    root.mkdir(parents=True, exist_ok=True)
    # Opened before the first byte is written, so that syncfs reports all later errors.
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        outcomes = [_write(path, data) for path, data in files]
        _sync(folder)
    except OSError:
        for path, _ in files:
            with suppress(OSError):
                os.utime(path, (UNSURE, UNSURE))
        raise
    finally:
        os.close(folder)
    return outcomes


def _write(path: Path, data: bytes) -> Exception | None:
    try:
        # Read and not only measured: a file that was damaged is fixed by writing it again.
        # One that is whole is synced all the same: who wrote it may have died before that.
        if not _renewed(path, data):
            _place(path, data)
    except OSError as error:
        return error
    return None


def _renewed(path: Path, data: bytes) -> bool:
    """Return whether a file holds these bytes; if so, renew its time."""
    try:
        if path.stat().st_mtime == UNSURE or path.read_bytes() != data:
            return False
        os.utime(path)
    except FileNotFoundError:  # never there, or deleted for its age at this moment
        return False
    return True


def discard(path: Path, before: float) -> bool:
    """Delete a file unless it was written or renewed since `before`, seconds since 1970 (UTC).

    Return whether it was deleted. A concurrent renewal either is seen here, or finds the file gone
    and writes it again. One that is UNSURE may be another write's, and is as old as that mark.
    Raise OSError.
    """
    aside = path.with_name(f"{ASIDE}{path.name}")
    aside.unlink(missing_ok=True)  # left by a killed process
    try:
        found = path.stat()
        if (found.st_ctime if found.st_mtime == UNSURE else found.st_mtime) >= before:
            return False
        path.replace(aside)
        if aside.stat().st_mtime != found.st_mtime:
            aside.replace(path)
            return False
        aside.unlink()
    except FileNotFoundError:
        return False
    return True


def _place(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=NEW)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _sync(folder: int) -> None:
    """Make everything on the folder's file system durable. Linux reports errors since 5.8."""
    if _LIBC.syncfs(folder):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
