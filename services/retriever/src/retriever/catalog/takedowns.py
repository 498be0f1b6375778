"""Takedowns: a photo is deleted immediately and can't be stored again.

It is removed from its products, together with its vectors and pending items, and its bytes are
deleted. Until the takedown is lifted, the same bytes are rejected in products, imports and
restores. Earlier backups still contain them.
"""

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from retriever.catalog.faces import FaceRules
from retriever.domain.errors import ImageTakenDown
from retriever.domain.product import Takedown
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.rpc.requests import Pages, RequestInvalid
from sightline_rules.photos import PhotoInfo, image_id

_PAGES = Pages[Takedown](50, 1_000, lambda takedown: (takedown.image_id,), (str,))
MOST_REASON = 500
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PermittedPhotos:
    """A photo store that rejects photos that were taken down, and treats faces as their catalog
    wants; see ports/photos.py."""

    photos: Photos
    record: Record
    faces: FaceRules | None = None
    """`None`: faces are left."""

    async def as_stored(self, catalog_id: str, data: bytes) -> bytes:
        """Return a photo as it is stored; see Photos. Raise ImageTakenDown if the received bytes
        were taken down, as which older versions stored them."""
        kept = await self.photos.as_stored(catalog_id, data)
        if self.faces is not None:
            kept = await self.faces.applied(catalog_id, kept)
        if kept is not data and await self.record.taken_down(catalog_id, [image_id(data)]):
            raise ImageTakenDown
        return kept

    async def inspect(self, catalog_id: str, data: bytes) -> PhotoInfo:
        return await self.photos.inspect(catalog_id, data)

    def fetched(self, uri: str) -> AbstractAsyncContextManager[bytes]:
        return self.photos.fetched(uri)

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        """Store a photo; see Photos. Raise ImageTakenDown if it was taken down."""
        if await self.record.taken_down(catalog_id, [image_id]):
            raise ImageTakenDown
        await self.photos.put(catalog_id, image_id, data)

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        return await self.photos.get(catalog_id, image_id)

    async def delete(self, catalog_id: str, image_id: str) -> None:
        await self.photos.delete(catalog_id, image_id)


async def take_down(
    catalog_id: str, image_id: str, reason: str, record: Record, photos: Photos
) -> tuple[Takedown, list[str]]:
    """Take a photo down, whether it is stored or not. Return the takedown and the products that had
    it."""
    _check(image_id)
    if len(reason) > MOST_REASON:
        raise RequestInvalid.at("reason", f"has more than {MOST_REASON} characters")
    taken = await record.take_down(catalog_id, image_id, reason)
    await photos.delete(catalog_id, image_id)
    return taken


async def lift(catalog_id: str, image_id: str, record: Record) -> bool:
    """Lift a takedown. Return whether the photo had been taken down."""
    _check(image_id)
    return await record.lift_takedown(catalog_id, image_id)


async def list_takedowns(
    catalog_id: str, record: Record, *, size: int, token: str
) -> tuple[list[Takedown], str]:
    """Return a page of takedowns by their photos' ids, and the next page's token."""
    return await _PAGES.read(
        *((catalog_id, "takedowns"), size, token),
        lambda place, limit: record.takedowns(catalog_id, after="".join(place), limit=limit),
    )


def _check(image_id: str) -> None:
    if not _IMAGE_ID.fullmatch(image_id):
        raise RequestInvalid.at("image_id", "is not the SHA-256 of a photo, 64 of 0-9 and a-f")
