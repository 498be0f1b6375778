"""The photos of one write: new ones are deleted immediately if the write fails.

Photos are stored before the record names them. A write that is then rejected, or whose caller
disconnects, deletes the photos that it stored, unless the same bytes were stored again meanwhile or
the record names them. The record is read while no write to the catalog is in progress; the store
knows whether bytes were stored again. If neither can tell (buckets, killed processes, an
unavailable record), `collecting` deletes the photos later.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from prometheus_client import Counter

from retriever.domain.product import Stored
from retriever.ports.photos import Mark, Photos
from retriever.record import Record
from servicekit import deadlines, telemetry
from servicekit.errors import ServiceError
from sightline_rules.photos import PhotoInfo

SECONDS = 10.0
"""Timeout of reading the record, in seconds, independent of the call's deadline."""

TAKEN_BACK = Counter(
    "sightline_photos_taken_back_total", "Photos of failed writes that were deleted immediately."
)


class Uploads:
    """Photo store of a write with photos."""

    def __init__(self, catalog_id: str, photos: Photos) -> None:
        self._catalog_id, self._photos = catalog_id, photos
        self._puts: dict[str, asyncio.Task[Mark | None]] = {}
        self._named = set[str]()

    async def as_stored(self, data: bytes) -> bytes:
        return await self._photos.as_stored(self._catalog_id, data)

    async def inspect(self, data: bytes) -> PhotoInfo:
        return await self._photos.inspect(self._catalog_id, data)

    def fetched(self, uri: str) -> AbstractAsyncContextManager[bytes]:
        return self._photos.fetched(uri)

    async def put(self, image_id: str, data: bytes) -> None:
        """Store a photo, once. Raises what Photos.put does."""
        if image_id not in self._puts:
            # It ends even if its caller is cancelled: otherwise no upload would delete the bytes.
            putting = self._photos.put(self._catalog_id, image_id, data)
            self._puts[image_id] = asyncio.ensure_future(putting)
        await asyncio.shield(self._puts[image_id])

    def keep(self, outcomes: Iterable[Stored | ServiceError]) -> None:
        """Note the photos that products have now."""
        for outcome in outcomes:
            if isinstance(outcome, Stored):
                self._named.update(outcome.image_ids)

    async def end(self, record: Record) -> None:
        """Delete photos that are new and that no product has."""
        left = {name: put for name, put in self._puts.items() if name not in self._named}
        if left:
            await asyncio.shield(asyncio.ensure_future(self._take_back(left, record)))

    async def _take_back(self, left: dict[str, asyncio.Task[Mark | None]], record: Record) -> None:
        deadlines.start(SECONDS)  # a deadline of this task: the call's own may have passed
        outcomes = await asyncio.gather(*left.values(), return_exceptions=True)
        marks = {name: m for name, m in zip(left, outcomes, strict=True) if isinstance(m, tuple)}
        if not marks:
            return
        try:
            for image_id in await record.unknown_for_good(self._catalog_id, list(marks)):
                taken = await self._photos.take_back(self._catalog_id, image_id, marks[image_id])
                TAKEN_BACK.inc(taken)
        except ServiceError as error:
            telemetry.get_logger().info("photos of a failed write not deleted", reason=error.reason)


@asynccontextmanager
async def uploading(catalog_id: str, photos: Photos, record: Record) -> AsyncIterator[Uploads]:
    """Provide uploads for the body, whose `keep` takes what was written."""
    uploads = Uploads(catalog_id, photos)
    try:
        yield uploads
    finally:
        await uploads.end(record)
