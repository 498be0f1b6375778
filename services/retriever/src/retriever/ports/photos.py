"""The photo store."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoInfo


class Photos(Protocol):
    """The content-addressed store of photos."""

    async def as_stored(self, catalog_id: str, data: bytes) -> bytes:
        """Return a received photo as it is stored: without metadata, with its faces as the catalog
        wants them.

        Raises ImageRejected, ImageTakenDown, PhotosUnavailable, EmbedderUnavailable.
        """

    async def inspect(self, catalog_id: str, data: bytes) -> PhotoInfo:
        """Return a photo's properties. Raises ImageRejected, PhotosUnavailable."""

    def fetched(self, uri: str) -> AbstractAsyncContextManager[bytes]:
        """Provide the file at an address, whose bytes are counted until the block ends.

        Raises UriForbidden, UriUnreadable.
        """

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        """Store bytes durably. Raises PhotosUnavailable, PhotosFull."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """Return the bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""

    async def delete(self, catalog_id: str, image_id: str) -> None:
        """Delete the bytes if they exist. Raises PhotosUnavailable."""


class FaceBlur(Protocol):
    """Blurs faces."""

    async def blurred(self, catalog_id: str, data: bytes, faces: Sequence[PhotoArea]) -> bytes:
        """Return a photo with blurred faces, a JPEG. Raises ImageRejected, PhotosUnavailable."""


class PhotoFiles(Photos, Protocol):
    """The photo store, as its tidying uses it. Every call raises PhotosUnavailable."""

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        """Return the photos whose ids begin with this byte, 0 to 255."""

    async def discard(self, catalog_id: str, image_id: str, before: float) -> bool:
        """Delete a photo unless its bytes were stored since `before` (seconds since 1970, UTC).

        Return whether it was deleted.
        """
