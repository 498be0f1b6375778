"""Photos of watches: frames of alerts, and what rules look for, each catalog's apart."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
from sightline_rules import photos
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_metadata import without_metadata
from vision.adapters import frame_facts, photo_work
from vision.domain import errors
from vision.domain.catalog_keys import KeyOf, same
from vision.domain.watch_state import FrameFacts


class PhotoStore:
    """See FramePhotos in ports/watching.py."""

    def __init__(
        self,
        url: str,
        *,
        limits: photos.PhotoLimits | None = None,
        decoders: Decoders | None = None,
        key_of: KeyOf = same,
    ) -> None:
        """Prepare the store. `url`: a folder, or a URL of fsspec (`s3://bucket/prefix`).

        Photos are decoded in `decoders`, by default two processes that the first photo starts.
        `key_of`: see Record.
        """
        self.files = ContentStore(url)
        self._limits = limits or photos.PhotoLimits()
        self._decoders = decoders or Decoders(photo_work.__name__)
        self._key_of = key_of

    async def start(self) -> None:
        """Start the processes that decode photos. Raise DecodingUnavailable."""
        await self._decoders.start()

    def close(self) -> None:
        """Wait for writes in progress."""
        self._decoders.close()
        self.files.close()

    async def as_stored(self, catalog_id: str, data: bytes) -> bytes:  # noqa: ARG002 - see the port
        with _decoding():
            photos.check_size(data, self._limits)
            # In a thread: a progressive photo of ten megabytes takes ten milliseconds.
            return await asyncio.to_thread(without_metadata, data)

    async def inspect(self, catalog_id: str, data: bytes) -> photos.PhotoInfo:
        with _decoding():
            photos.check_size(data, self._limits)
            photos.sniff(data)  # a file that is no photo needs no process
            order, turn = photo_work.order(self._limits), Turn(Party.of(catalog_id))
            facts, _ = await self._decoders.run(order, data, photo_work.WANTED, turn)
            return await asyncio.to_thread(photo_work.understood, facts, data, self._limits)

    async def measure_frame(
        self, catalog_id: str, data: bytes, boxes: Sequence[PhotoArea]
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
        self, catalog_id: str, data: bytes, faces: Sequence[PhotoArea], box: PhotoArea | None = None
    ) -> bytes:
        with _decoding():
            order = photo_work.blur_order(self._limits, faces, box)
            wanted = photo_work.file_wanted(self._limits)
            facts, file = await self._decoders.run(order, data, wanted, Turn(Party.of(catalog_id)))
            return photo_work.file_of(facts, file)

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        with _stored():
            await self.files.put(self._key_of(catalog_id), image_id, data)

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        with _stored():
            return await self.files.get(self._key_of(catalog_id), image_id)

    async def delete(self, catalog_id: str, image_id: str) -> None:
        with _stored():
            await self.files.delete(self._key_of(catalog_id), image_id)


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
