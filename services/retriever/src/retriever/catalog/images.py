"""Photos: those of a product are fetched, checked and stored before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from retriever.domain.errors import ImageDamaged, ImageNotFound, ImageRejected, ProductInvalid
from retriever.domain.product import Image, ImageDraft
from retriever.ports.photos import Photos
from servicekit.outbound.fetch import UriForbidden, UriUnreadable
from sightline_rules.photos import image_id


@dataclass(frozen=True, slots=True)
class CatalogPhotos:
    """The photo store of a catalog. Photos are stored before the record names them: those of a
    write that fails are collected like all without a product (collecting.py)."""

    catalog_id: str
    photos: Photos


async def take_images(
    given: Sequence[ImageDraft], path: str, store: CatalogPhotos
) -> tuple[tuple[str, ...], dict[str, Image]]:
    """Return the ids of a product's photos, without duplicates, and the newly stored photos."""
    new: dict[str, Image] = {}
    image_ids: dict[str, None] = {}
    for index, item in enumerate(given):
        if item.content or item.uri or not item.image_id:  # 0 bytes are no photo
            image = await _take(item, f"{path}.images[{index}]", store)
            new[image.image_id] = image
            image_ids[image.image_id] = None
        else:
            image_ids[item.image_id] = None
    return tuple(image_ids), new


async def _take(given: ImageDraft, path: str, store: CatalogPhotos) -> Image:
    """Check and store one photo, fetched first if only its address is given."""
    if not given.uri:
        return await _keep(given, given.content, path, "content", store)
    try:
        async with store.photos.fetched(given.uri) as content:
            return await _keep(given, content, path, "uri", store)
    except (UriForbidden, UriUnreadable) as error:
        raise error.at(f"{path}.uri") from error


async def _keep(
    given: ImageDraft, content: bytes, path: str, field: str, store: CatalogPhotos
) -> Image:
    try:
        kept = await store.photos.as_stored(store.catalog_id, content)
        info = await store.photos.inspect(store.catalog_id, kept)
    except ImageRejected as error:
        raise ImageRejected(error.reason, error.message, f"{path}.{field}") from error
    named = {info.image_id, image_id(content)} if given.image_id else set()
    if given.image_id and given.image_id not in named:
        raise ProductInvalid.at(f"{path}.image_id", "is not the SHA-256 of the content")
    await store.photos.put(store.catalog_id, info.image_id, kept)
    return Image(
        info.image_id,
        info.media_type,
        len(kept),
        info.width,
        info.height,
        info.perceptual_hash,
    )


async def stored_photo(catalog_id: str, image_id: str, photos: Photos) -> bytes | None:
    """Return a photo's bytes; None if they are lost or damaged. Raise PhotosUnavailable."""
    try:
        return await photos.get(catalog_id, image_id)
    except (ImageNotFound, ImageDamaged):
        return None
