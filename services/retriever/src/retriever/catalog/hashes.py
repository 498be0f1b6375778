"""Hashes photos that were stored before photos were hashed, a few at a time."""

from retriever.domain.errors import ImageDamaged, ImageNotFound, ImageRejected
from retriever.ports.catalog import HashRecord
from retriever.ports.photos import Photos
from sightline_rules.duplicates import NO_HASH


async def hash_photos(catalog_id: str, limit: int, record: HashRecord, photos: Photos) -> int:
    """Hash up to `limit` photos; how many there were. Raises PhotosUnavailable.

    A photo that is lost or can't be decoded any more has no hash, and is not tried again.
    """
    hashes: dict[str, int] = {}
    try:
        for image_id in await record.unhashed(catalog_id, limit):
            try:
                info = await photos.inspect(await photos.get(catalog_id, image_id))
                hashes[image_id] = info.perceptual_hash
            except (ImageNotFound, ImageDamaged, ImageRejected):
                hashes[image_id] = NO_HASH
    finally:
        if hashes:
            await record.save_hashes(catalog_id, hashes)
    return len(hashes)
