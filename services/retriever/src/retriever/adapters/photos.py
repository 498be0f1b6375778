"""Photos by their content: <root>/<catalog>/<2 hex>/<2 hex>/<sha256>, in a folder or a bucket.

A photo's name is the hash of its bytes. It is durable before the record mentions it, and never
changes afterwards. Photos without a product are kept for a while, because a catalog page, an answer
record or an open import may still name them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager

from retriever.adapters import photo_work
from retriever.domain import errors
from servicekit.admission.fair_permits import Party
from servicekit.artefacts.content_store import ContentDamaged, ContentStore
from servicekit.artefacts.store import FULL
from servicekit.decoding.decoders import (
    Decoders,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingRefused,
    DecodingUnavailable,
    Turn,
)
from servicekit.outbound.fetch import Fetcher, FetchPolicy
from sightline_rules import photos
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_metadata import without_metadata


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
        self._files = ContentStore(url)
        self._limits = limits or photos.PhotoLimits()
        self._decoders = decoders or Decoders(photo_work.__name__)
        self._fetcher = fetcher or Fetcher(FetchPolicy())

    async def start(self) -> None:
        """Start the processes that decode photos. Raise DecodingUnavailable."""
        await self._decoders.start()

    def close(self) -> None:
        """Wait for writes in progress."""
        self._decoders.close()
        self._files.close()

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

    async def blurred(self, catalog_id: str, data: bytes, faces: Sequence[PhotoArea]) -> bytes:
        with _decoding():
            order = photo_work.blur_order(self._limits, faces)
            wanted = photo_work.file_wanted(self._limits)
            facts, file = await self._decoders.run(order, data, wanted, Turn(Party.of(catalog_id)))
            return photo_work.file_of(facts, file)

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        with _stored():
            await self._files.put(catalog_id, image_id, data)

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        with _stored():
            return await self._files.get(catalog_id, image_id)

    async def delete(self, catalog_id: str, image_id: str) -> None:
        with _stored():
            await self._files.delete(catalog_id, image_id)

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        with _stored():
            return await self._files.names(catalog_id, shelf)

    async def discard(self, catalog_id: str, image_id: str, before: float) -> bool:
        with _stored():
            return await self._files.discard(catalog_id, image_id, before)


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


@contextmanager
def _stored() -> Iterator[None]:
    """Translate the errors of the files."""
    try:
        yield
    except FileNotFoundError as error:
        raise errors.ImageNotFound from error
    except ContentDamaged as error:
        raise errors.ImageDamaged from error
    except OSError as error:
        raise errors.PhotosFull() if error.errno in FULL else errors.PhotosUnavailable() from error
