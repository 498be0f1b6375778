"""What the use cases ask of the photo store."""

from typing import Protocol, TypeAlias

from sightline_rules.photos import PhotoInfo

Mark: TypeAlias = tuple[int, int]
"""What bytes are known by that nobody gave again since they were new."""


class Photos(Protocol):
    """The content-addressed store of photos."""

    async def inspect(self, data: bytes) -> PhotoInfo:
        """What a photo is. Raises ImageRejected, PhotosUnavailable."""

    async def fetch(self, uri: str) -> bytes:
        """The file at an address. Raises UriForbidden, UriUnreadable."""

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> Mark | None:
        """Returns once the bytes are durable; of such as were not there before their mark, where
        the store can tell. Raises PhotosUnavailable, PhotosFull."""

    async def take_back(self, catalog_id: str, image_id: str, mark: Mark) -> bool:
        """Delete bytes; False where they were given again since. Raises PhotosUnavailable."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """The bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""

    async def delete(self, catalog_id: str, image_id: str) -> None:
        """Returns once the bytes are gone, if there were any. Raises PhotosUnavailable."""


class PhotoFiles(Photos, Protocol):
    """The same as those see it who tidy it up. Every call raises PhotosUnavailable."""

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        """The photos whose ids begin with this byte, 0 to 255."""

    async def discard(self, catalog_id: str, image_id: str, before: float) -> bool:
        """Delete a photo unless its bytes came, for the first time or again, since that time
        (seconds since 1970, UTC); whether it was deleted."""
