"""Files of backups: <root>/<catalog>/<backup id>.tar, in a folder or a bucket.

A file is written under a temporary name, which listings leave out, and renamed once it is whole and
durable. Leftovers of a killed attempt are deleted by the next attempt at the same backup.
"""

import asyncio
import contextlib
import contextvars
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from retriever.domain.archive import meaning
from retriever.domain.errors import BackupNotFound, BackupsUnavailable
from retriever.domain.jobs import StoppedError
from servicekit.errors import ServiceError
from servicekit.keyring import SigningKeys, open_keys

T = TypeVar("T")

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_CATALOG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_UNTRANSLATED = (ServiceError, StoppedError, ValueError, TypeError, KeyError)
"""What is no fault of the place; drivers of buckets raise errors of their vendors."""


class BackupFiles:
    """See BackupStore in ports/backup.py."""

    def __init__(self, url: str, keys: SigningKeys = open_keys) -> None:
        """`url`: a folder, or what fsspec takes (`s3://bucket/prefix`)."""
        self.keys = keys
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._local = isinstance(self._files, LocalFileSystem)
        self._io = ThreadPoolExecutor(2, "backup-io")

    def close(self) -> None:
        """Wait for the work under way."""
        self._io.shutdown(wait=True, cancel_futures=True)

    def spool_folder(self) -> Path | None:
        return Path(self._root) if self._local else None

    async def run(self, work: Callable[[], T]) -> T:
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._io, run, _translated, work)

    async def names(self, catalog_id: str) -> list[str]:
        return await self.run(lambda: self._names(catalog_id))

    def _names(self, catalog_id: str) -> list[str]:
        folder = f"{self._root}/{catalog_id}"
        self._files.invalidate_cache(folder)
        try:
            found = self._files.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        names = [str(path).rpartition("/")[2] for path in found]
        ids = [name.removesuffix(".tar") for name in names if name.endswith(".tar")]
        return sorted(filter(_ID.fullmatch, ids), reverse=True)

    async def used(self, catalog_id: str) -> tuple[int, int]:
        def work() -> tuple[int, int]:
            sizes = [self._size(self._path(catalog_id, name)) for name in self._names(catalog_id)]
            return len(sizes), sum(sizes)

        return await self.run(work)

    async def delete(self, catalog_id: str, backup_id: str) -> int:
        path = self._path(catalog_id, backup_id)

        def work() -> int:
            size = self._size(path)
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(path)
            return size

        return await self.run(work)

    def _size(self, path: str) -> int:
        """0 = there is no such file."""
        try:
            return int(self._files.size(path))
        except FileNotFoundError:
            return 0

    async def open(self, catalog_id: str, backup_id: str) -> tuple[IO[bytes], int]:
        path = self._path(catalog_id, backup_id)

        def work() -> tuple[IO[bytes], int]:
            try:
                return self._files.open(path, "rb"), int(self._files.size(path))
            except FileNotFoundError as error:
                raise BackupNotFound from error

        return await self.run(work)

    async def begin(self, catalog_id: str, backup_id: str) -> "_Upload":
        path = self._path(catalog_id, backup_id)
        part = f"{path}.part"

        def work() -> "_Upload":
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(part)
            return _Upload(self, self._open_new(part), part, path)

        return await self.run(work)

    def _open_new(self, part: str) -> IO[bytes]:
        """Open a file that is closed when its upload is committed or aborted."""
        if self._local:
            return Path(part).open("xb")
        made: IO[bytes] = self._files.open(part, "wb")
        return made

    def _path(self, catalog_id: str, backup_id: str) -> str:
        if not _CATALOG.fullmatch(catalog_id) or not _ID.fullmatch(backup_id):
            raise BackupNotFound
        return f"{self._root}/{catalog_id}/{backup_id}.tar"

    def _publish(self, file: IO[bytes], part: str, path: str) -> None:
        if not self._local:
            file.close()
            self._files.mv(part, path)
            return
        file.flush()
        os.fsync(file.fileno())
        file.close()
        Path(part).replace(path)
        folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _forget(self, file: IO[bytes], part: str) -> None:
        with contextlib.suppress(OSError):  # a full disk refuses what was not written yet
            file.close()
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(part)


class _Upload:
    """See Upload in ports/backup.py."""

    def __init__(self, files: BackupFiles, file: IO[bytes], part: str, path: str) -> None:
        self.file = file
        self._files, self._part, self._path = files, part, path

    async def commit(self) -> None:
        await self._files.run(lambda: self._files._publish(self.file, self._part, self._path))

    async def abort(self) -> None:
        await self._files.run(lambda: self._files._forget(self.file, self._part))


def _translated(work: Callable[[], T]) -> T:
    try:
        return work()
    except _UNTRANSLATED:
        raise
    except OSError as error:
        raise meaning(error) from error
    except Exception as error:
        raise BackupsUnavailable from error
