"""The embedder, the catalog, the photo store and cameras, as watches use them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from servicekit.outbound.fetch import FetchedFile
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoInfo
from vision.domain.objects import Floats, FoundObjects
from vision.domain.watch_state import FrameFacts, ProductReferences


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


class FaceFinder(Protocol):
    """Finds faces."""

    async def faces(self, catalog_id: str, photo: bytes) -> list[PhotoArea]:
        """Return the faces in a photo.

        Raises EmbedderUnavailable, and ImageRejected for a photo that can't be decoded.
        """


class Takedowns(Protocol):
    """The takedowns of catalogs. Every call raises RetrieverUnavailable."""

    async def taken_down(self, catalog_id: str, image_ids: Sequence[str]) -> frozenset[str]:
        """Return those of 1 to 64 photos that were taken down and must not be stored."""


class CatalogProducts(Takedowns, Protocol):
    """The products of catalogs, and their takedowns."""

    async def missing(self, catalog_id: str, product_ids: Sequence[str]) -> frozenset[str]:
        """Return those of 1 to 64 products that the catalog lacks."""


class ProductVectors(Protocol):
    """The vectors of products."""

    async def references(self, catalog_id: str, product_ids: Sequence[str]) -> ProductReferences:
        """Return the vectors of up to 64 products, by which frames show them. Raises
        RetrieverUnavailable."""


class FaceBlur(Protocol):
    """Blurs faces."""

    async def blurred(
        self, catalog_id: str, data: bytes, faces: Sequence[PhotoArea], box: PhotoArea | None = None
    ) -> bytes:
        """Return a photo with blurred faces, or a part of it, a JPEG. Raises ImageRejected,
        PhotosUnavailable."""


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
