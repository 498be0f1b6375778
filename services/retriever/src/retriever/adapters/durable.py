"""Files that survive a power cut, many for the price of one.

A file and each new folder above it need a sync of their own, one after another: five for a photo,
in threads that wait for the same journal. Here the files that came while the disk was busy are
written together, and one syncfs(2) makes them durable: the group commit of databases. A slow disk
makes larger groups, not a longer queue.
"""

import asyncio
import ctypes
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MOST_BYTES = 64 * 2**20
"""A group takes no more files once it has so many bytes."""

ASIDE = ".old-"
"""What the name of a file begins with that is about to be deleted."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Waiting(NamedTuple):
    path: Path
    data: bytes
    durable: asyncio.Future[None]


class DurableFolder:
    """Writes files below one folder of a local file system; for one event loop."""

    def __init__(self, root: Path) -> None:
        """`root` is made when the first file is written."""
        self._root = root
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "durable")

    def close(self) -> None:
        """Wait for the group under way."""
        self._thread.shutdown(wait=True)

    async def write(self, path: Path, data: bytes) -> None:
        """Return once file and name would survive a power cut. Raises OSError.

        A reader sees the file whole or not at all. One that holds these bytes stays as it is.
        """
        loop = asyncio.get_running_loop()
        self._waiting.append(_Waiting(path, data, loop.create_future()))
        done = self._waiting[-1].durable
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_all())
        await done

    async def _write_all(self) -> None:
        """Group after group, until nothing waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._next_group()
            files = [(item.path, item.data) for item in group]
            try:
                outcomes = await loop.run_in_executor(self._thread, write, self._root, files)
            except Exception as error:  # the folder itself, or the thread that is gone
                outcomes = [error] * len(group)
            for item, outcome in zip(group, outcomes, strict=True):
                if item.durable.done():
                    continue  # its caller was cancelled
                if outcome is None:
                    item.durable.set_result(None)
                else:
                    item.durable.set_exception(outcome)

    def _next_group(self) -> list[_Waiting]:
        size, count = 0, 0
        while count < len(self._waiting) and size < MOST_BYTES:
            size += len(self._waiting[count].data)
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group


def write(root: Path, files: Sequence[tuple[Path, bytes]]) -> list[Exception | None]:
    """Make files below `root` durable together; what went wrong with each. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    # Opened before the first byte is written: what fails from then on is reported to it.
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        outcomes = [_write(path, data) for path, data in files]
        _sync(folder)
    finally:
        os.close(folder)
    return outcomes


def _write(path: Path, data: bytes) -> Exception | None:
    try:
        # Read and not only measured: a file that was damaged is fixed by writing it again.
        # One that is whole is synced all the same: who wrote it may have died before that.
        if not _renewed(path, data):
            _replace(path, data)
    except OSError as error:
        return error
    return None


def _renewed(path: Path, data: bytes) -> bool:
    """Whether a file holds these bytes; if so, it is as new."""
    try:
        if path.read_bytes() != data:
            return False
        os.utime(path)
    except FileNotFoundError:  # never there, or deleted for its age at this moment
        return False
    return True


def discard(path: Path, before: float) -> bool:
    """Delete a file unless it was written or renewed since a time, seconds since 1970 (UTC);
    whether it was deleted. Raises OSError.

    Whoever renews it meanwhile finds it gone and writes it anew, or is seen.
    """
    aside = path.with_name(f"{ASIDE}{path.name}")
    aside.unlink(missing_ok=True)  # of who was killed at it
    try:
        if path.stat().st_mtime >= before:
            return False
        path.replace(aside)
        if aside.stat().st_mtime >= before:
            aside.replace(path)
            return False
        aside.unlink()
    except FileNotFoundError:
        return False
    return True


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
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
