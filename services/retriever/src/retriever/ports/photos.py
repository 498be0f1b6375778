"""What the use cases ask of the photo store."""

from typing import Protocol

from sightline_rules.photos import PhotoInfo


class Photos(Protocol):
    """The content-addressed store of photos."""

    async def inspect(self, data: bytes) -> PhotoInfo:
        """What a photo is. Raises ImageRejected, PhotosUnavailable."""

    async def fetch(self, uri: str) -> bytes:
        """The file at an address. Raises UriForbidden, UriUnreadable."""

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        """Returns once the bytes are durable. Raises PhotosUnavailable, PhotosFull."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """The bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""
