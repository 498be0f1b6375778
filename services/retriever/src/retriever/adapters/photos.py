"""Photos by their content: <root>/<catalog>/<2 hex>/<2 hex>/<sha256>, in a folder or a bucket.

A photo's name is the hash of its bytes. It is durable before the record mentions it, and never
changes afterwards. Photos without a product are kept for a while, because a catalog page, an answer
record or an open import may still name them.
"""

import asyncio
import contextvars
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from retriever.adapters import frame_facts, photo_work
from retriever.adapters.durable import ASIDE, NEW, DurableFolder, discard
from retriever.domain import errors
from retriever.domain.faces import FaceBox
from retriever.domain.watch_state import FrameFacts
from retriever.domain.watches import WatchBox
from servicekit.admission.fair_permits import Party
from servicekit.artefacts.store import FULL, as_os_errors
from servicekit.clock import in_utc
from servicekit.decoding.decoders import (
    Decoders,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingRefused,
    DecodingUnavailable,
    Turn,
)
from servicekit.errors import ServiceError
from servicekit.outbound.fetch import Fetcher, FetchPolicy
from servicekit.whole_files import delete_abandoned
from sightline_rules import photos
from sightline_rules.photo_metadata import without_metadata

T = TypeVar("T")

_HASH = re.compile(r"[0-9a-f]{64}")
RENEW_SECONDS = 3_600.0
"""Age, in seconds, from which an object in a bucket is written again when the same photo is
uploaded."""


class PhotoStore:
    """See Photos in ports/photos.py. Files are read and written in a bounded number of threads."""

    def __init__(
        self,
        url: str,
        *,
        limits: photos.PhotoLimits | None = None,
        decoders: Decoders | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        """Prepare the store. `url`: a folder, or a URL of fsspec (`s3://bucket/prefix`).

        Photos are decoded in `decoders`, by default two processes that the first photo starts. By
        default no address may be fetched.
        """
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._limits = limits or photos.PhotoLimits()
        self._decoders = decoders or Decoders(photo_work.__name__)
        self._fetcher = fetcher or Fetcher(FetchPolicy())
        self._io = ThreadPoolExecutor(4, "photo-io")
        local = isinstance(self._files, LocalFileSystem)
        self._folder = DurableFolder(Path(self._root)) if local else None

    async def start(self) -> None:
        """Start the processes that decode photos. Raise DecodingUnavailable."""
        await self._decoders.start()

    def close(self) -> None:
        """Wait for writes in progress."""
        self._decoders.close()
        self._io.shutdown(wait=True, cancel_futures=True)
        if self._folder is not None:
            self._folder.close()

    def fetched(self, uri: str) -> AbstractAsyncContextManager[bytes]:
        return self._fetcher.fetched(uri)

    async def as_stored(self, catalog_id: str, data: bytes) -> bytes:  # noqa: ARG002 - see Photos
        with _decoding():
            photos.check_size(data, self._limits)
            # In a thread: a progressive photo of ten megabytes takes ten milliseconds.
            return await asyncio.to_thread(without_metadata, data)

    async def inspect(self, catalog_id: str, data: bytes) -> photos.PhotoInfo:
        with _decoding():
            photos.check_size(data, self._limits)
            photos.sniff(data)  # a file that is no photo needs no process
            order = photo_work.order(self._limits)
            turn = Turn(Party.of(catalog_id))
            facts, _ = await self._decoders.run(order, data, photo_work.WANTED, turn)
            return await asyncio.to_thread(photo_work.understood, facts, data, self._limits)

    async def measure_frame(
        self, catalog_id: str, data: bytes, boxes: Sequence[WatchBox]
    ) -> tuple[FrameFacts, list[bytes]]:
        with _decoding():
            photos.check_size(data, self._limits)
            photos.sniff(data)
            order = photo_work.frame_order(self._limits, boxes)
            wanted = frame_facts.wanted(len(boxes), self._limits)
            turn = Turn(Party.of(catalog_id))
            facts, pixels = await self._decoders.run(order, data, wanted, turn)
            return await asyncio.to_thread(photo_work.frame_of, facts, pixels, self._limits)

    async def blurred(
        self, catalog_id: str, data: bytes, faces: Sequence[FaceBox], box: WatchBox | None = None
    ) -> bytes:
        with _decoding():
            order = photo_work.blur_order(self._limits, faces, box)
            wanted = photo_work.file_wanted(self._limits)
            facts, file = await self._decoders.run(order, data, wanted, Turn(Party.of(catalog_id)))
            return photo_work.file_of(facts, file)

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        path = self._path(catalog_id, image_id)
        if self._folder is None:
            await self._run(lambda: _translated(lambda: self._put_object(path, data)))
            return
        try:
            await self._folder.write(Path(path), data)
        except OSError as error:
            raise _meaning(error) from error

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        path = self._path(catalog_id, image_id)
        data = await self._run(lambda: _translated(lambda: self._get(path)))
        if hashlib.sha256(data).hexdigest() != image_id:
            raise errors.ImageDamaged
        return data

    async def delete(self, catalog_id: str, image_id: str) -> None:
        path = self._path(catalog_id, image_id)
        await self._run(lambda: _translated(lambda: self._delete(path)))

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        folder = f"{self._root}/{catalog_id}/{shelf:02x}"

        def work() -> list[str]:
            self._files.invalidate_cache(folder)
            found = [Path(path) for path in self._files.find(folder)]
            if self._folder is not None:
                delete_abandoned(path for path in found if path.name.startswith(NEW))
            names = {path.name.removeprefix(ASIDE) for path in found}
            return [name for name in names if _HASH.fullmatch(name)]

        return await self._run(lambda: _translated(work))

    async def discard(self, catalog_id: str, image_id: str, before: float) -> bool:
        path = self._path(catalog_id, image_id)
        if self._folder is not None:
            return await self._run(lambda: _translated(lambda: discard(Path(path), before)))

        def work() -> bool:
            if not self._files.exists(path) or not self._older(path, before):
                return False
            self._delete(path)
            return True

        return await self._run(lambda: _translated(work))

    async def _run(self, work: Callable[[], T]) -> T:
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._io, run, work)

    def _path(self, catalog_id: str, image_id: str) -> str:
        if not _HASH.fullmatch(image_id):
            raise errors.ImageNotFound
        # Settings let only a-z, 0-9, - and _ into a catalog's name.
        return f"{self._root}/{catalog_id}/{image_id[:2]}/{image_id[2:4]}/{image_id}"

    def _put_object(self, path: str, data: bytes) -> None:
        # A bucket shows an object whole or not at all. One that is old is written again, so that
        # it is not deleted for its age before the record names it.
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


@contextmanager
def _decoding() -> Iterator[None]:
    """Translate the errors of reading and decoding a photo."""
    try:
        yield
    except photos.PhotoRejectedError as error:
        raise errors.ImageRejected(str(error.reason), str(error)) from error
    except DecodingRefused as refused:
        rejected = photos.PhotoRejectedError.of(refused.code, str(refused))
        raise errors.ImageRejected(str(rejected.reason), str(rejected)) from refused
    except DecodingUnavailable as error:
        raise errors.PhotosUnavailable from error
    except (DecodingFailed, ValueError) as error:
        large = isinstance(error, DecodingOutOfMemory)
        reason = photos.RejectionReason.TOO_LARGE if large else photos.RejectionReason.UNDECODABLE
        raise errors.ImageRejected(str(reason), f"the photo can't be decoded: {error}") from error


def _translated(work: Callable[[], T]) -> T:
    try:
        with as_os_errors():
            return work()
    except FileNotFoundError as error:
        raise errors.ImageNotFound from error
    except OSError as error:
        raise _meaning(error) from error


def _meaning(error: OSError) -> ServiceError:
    return errors.PhotosFull() if error.errno in FULL else errors.PhotosUnavailable()
