"""Perceptual hashes of photos."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.record.statements import among, look_up
from retriever.record.tables import images, product_images

_SIGN = 1 << 63

_UNHASHED = (
    sa.select(images.c.image_id)
    .where(images.c.catalog_id == sa.bindparam("catalog_id"), images.c.perceptual_hash.is_(None))
    .order_by(images.c.image_id)
    .limit(sa.bindparam("most"))
)
_SAVE = (
    sa.update(images)
    .where(
        images.c.catalog_id == sa.bindparam("of_catalog"),
        images.c.image_id == sa.bindparam("of_image"),
    )
    .values(perceptual_hash=sa.bindparam("hashed"))
)
_USERS = sa.select(product_images.c.product_id).where(among(product_images, "image_id"))


def to_signed(perceptual_hash: int) -> int:
    """Convert 64 unsigned bits to a signed number, as SQL stores it."""
    return perceptual_hash - 2 * _SIGN if perceptual_hash >= _SIGN else perceptual_hash


def from_signed(stored: int | None) -> int:
    """Convert a stored value back; the inverse of to_signed. Return 0 for None (not hashed yet)."""
    return (stored or 0) % (2 * _SIGN)


def read_unhashed(connection: Connection, catalog_id: str, limit: int) -> list[str]:
    values = {"catalog_id": catalog_id, "most": limit}
    return list(connection.execute(_UNHASHED, values).scalars())


def write_hashes(connection: Connection, catalog_id: str, hashes: Mapping[str, int]) -> list[str]:
    """Store perceptual hashes of photos. Return the products that have these photos, by id."""
    rows = [
        {"of_catalog": catalog_id, "of_image": image_id, "hashed": to_signed(value)}
        for image_id, value in hashes.items()
    ]
    if not rows:
        return []
    connection.execute(_SAVE, rows)
    users = look_up(connection, _USERS, list(hashes), {"catalog_id": catalog_id})
    return sorted({row.product_id for row in users})
