"""Bytes that are named by their SHA-256, in a folder or a bucket, each catalog's apart. Files are
read and written in a bounded number of threads."""

import asyncio
import contextvars
import hashlib
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from servicekit.artefacts.durable import ASIDE, NEW, DurableFolder, discard
from servicekit.artefacts.store import as_os_errors
from servicekit.clock import in_utc
from servicekit.whole_files import delete_abandoned

T = TypeVar("T")

_HASH = re.compile(r"[0-9a-f]{64}")
RENEW_SECONDS: Final = 3_600.0
"""Age, in seconds, from which an object in a bucket is written again when the same bytes are
stored."""
SHELVES: Final = 256
"""Parts of a catalog's content, by the first byte of the hash."""


class ContentDamaged(OSError):
    """The stored bytes have another hash than their name."""


class ContentStore:
    """Content of catalogs. Every call raises OSError."""

    def __init__(self, url: str) -> None:
        """Prepare the store. `url`: a folder, or a URL of fsspec (`s3://bucket/prefix`)."""
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._io = ThreadPoolExecutor(4, "content-io")
        local = isinstance(self._files, LocalFileSystem)
        self._folder = DurableFolder(Path(self._root)) if local else None

    def close(self) -> None:
        """Wait for writes in progress."""
        self._io.shutdown(wait=True, cancel_futures=True)
        if self._folder is not None:
            self._folder.close()

    async def put(self, catalog_id: str, name: str, data: bytes) -> None:
        """Store bytes durably. `name`: their SHA-256, 64 hexadecimal digits."""
        path = self._path(catalog_id, name)
        if self._folder is not None:
            await self._folder.write(Path(path), data)
        else:
            await self._run(lambda: self._put_object(path, data))

    async def get(self, catalog_id: str, name: str) -> bytes:
        """Return the bytes of a name. Raises FileNotFoundError, ContentDamaged."""
        path = self._path(catalog_id, name)
        data = await self._run(lambda: self._get(path))
        if hashlib.sha256(data).hexdigest() != name:
            raise ContentDamaged(name)
        return data

    async def delete(self, catalog_id: str, name: str) -> None:
        """Delete the bytes of a name if they exist."""
        path = self._path(catalog_id, name)
        await self._run(lambda: self._delete(path))

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        """Return the names that begin with this byte, 0 to 255."""
        folder = f"{self._root}/{catalog_id}/{shelf:02x}"

        def work() -> list[str]:
            self._files.invalidate_cache(folder)
            found = [Path(path) for path in self._files.find(folder)]
            if self._folder is not None:
                delete_abandoned(path for path in found if path.name.startswith(NEW))
            names = {path.name.removeprefix(ASIDE) for path in found}
            return [name for name in names if _HASH.fullmatch(name)]

        return await self._run(work)

    async def discard(self, catalog_id: str, name: str, before: float) -> bool:
        """Delete the bytes of a name unless they were stored since `before` (seconds since 1970,
        UTC). Return whether they were deleted."""
        path = self._path(catalog_id, name)
        if self._folder is not None:
            return await self._run(lambda: discard(Path(path), before))

        def work() -> bool:
            if not self._files.exists(path) or not self._older(path, before):
                return False
            self._delete(path)
            return True

        return await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        run = contextvars.copy_context().run

        def translated() -> T:
            with as_os_errors():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._io, run, translated)

    def _path(self, catalog_id: str, name: str) -> str:
        if not _HASH.fullmatch(name):
            raise FileNotFoundError(name)
        # Settings let only a-z, 0-9, - and _ into a catalog's name.
        return f"{self._root}/{catalog_id}/{name[:2]}/{name[2:4]}/{name}"

    def _put_object(self, path: str, data: bytes) -> None:
        # A bucket shows an object whole or not at all. One that is old is written again, so that
        # it is not deleted for its age before a record names it.
        if not self._files.exists(path) or self._older(path, time.time() - RENEW_SECONDS):
            self._files.pipe_file(path, data)

    def _older(self, path: str, before: float) -> bool:
        """Return whether an object was written before a time; False where the store does not
        say."""
        try:
            written = in_utc(self._files.modified(path)).timestamp()
        except NotImplementedError:
            return False
        return bool(written < before)

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._files.rm_file(path)

    def _get(self, path: str) -> bytes:
        data: bytes = self._files.cat_file(path)
        return data
