"""The embedder, the photo store and cameras, as watches use them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from vision.domain.watch_state import Floats
from vision.domain.watch_state import FoundObjects, FrameFacts
from vision.domain.watches import PhotoArea
from servicekit.outbound.fetch import FetchedFile
from sightline_rules.photos import PhotoInfo


class FetchSnapshot(Protocol):
    """Fetches a picture from an address."""

    def __call__(self, uri: str) -> AbstractAsyncContextManager[FetchedFile]:
        """Provide the picture. Raises UriForbidden, UriUnreadable."""


class FrameEmbedder(Protocol):
    """Embeds parts of frames."""

    async def embed_parts(
        self, catalog_id: str, parts: Sequence[bytes], version: str
    ) -> tuple[str, list[Floats]]:
        """Return the version of the visual space, and the vector of unit length of each part (1 to
        64 photos). `version`: the wanted version; empty: the default one.

        Raises EmbedderUnavailable, VersionMismatch, ImageRejected.
        """

    async def find_objects(
        self, catalog_id: str, frame: bytes, version: str, *, vectors: bool
    ) -> FoundObjects | None:
        """Return the objects in a frame, at most MOST_FOUND; None: the model that finds them is not
        ready. `version`: as for `embed_parts`; `vectors`: whether the objects are embedded.

        Raises EmbedderUnavailable, VersionMismatch, ImageRejected.
        """


class FramePhotos(Protocol):
    """The photo store, as watches use it."""

    async def measure_frame(
        self, catalog_id: str, data: bytes, boxes: Sequence[PhotoArea]
    ) -> tuple[FrameFacts, list[bytes]]:
        """Return the properties of a frame, and parts of it as photos, reduced in size.

        Raises ImageRejected, PhotosUnavailable.
        """

    async def as_stored(self, catalog_id: str, data: bytes) -> bytes:
        """Return a photo as it is stored: without metadata. Raises ImageRejected."""

    async def inspect(self, catalog_id: str, data: bytes) -> PhotoInfo:
        """Return a photo's properties. Raises ImageRejected, PhotosUnavailable."""

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> object:
        """Store bytes durably. Raises PhotosUnavailable, PhotosFull."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """Return the bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""
