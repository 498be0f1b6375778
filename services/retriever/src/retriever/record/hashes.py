"""Perceptual hashes of photos, and the vectors that say what the hashes leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.model import Floats, Generation
from retriever.record.parts import among, look_up, to_floats
from retriever.record.tables import images, vectors

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
_VECTORS = sa.select(vectors.c.image_id, vectors.c.data).where(
    among(vectors, "image_id"),
    vectors.c.space == sa.bindparam("space"),
    vectors.c.space_version == sa.bindparam("space_version"),
)


def to_signed(perceptual_hash: int) -> int:
    """64 bits as SQL's signed numbers hold them."""
    return perceptual_hash - 2 * _SIGN if perceptual_hash >= _SIGN else perceptual_hash


def from_signed(stored: int | None) -> int:
    """The inverse of to_signed; 0 where nothing is stored yet."""
    return (stored or 0) % (2 * _SIGN)


def read_unhashed(connection: Connection, catalog_id: str, limit: int) -> list[str]:
    values = {"catalog_id": catalog_id, "most": limit}
    return list(connection.execute(_UNHASHED, values).scalars())


def write_hashes(connection: Connection, catalog_id: str, hashes: Mapping[str, int]) -> None:
    rows = [
        {"of_catalog": catalog_id, "of_image": image_id, "hashed": to_signed(value)}
        for image_id, value in hashes.items()
    ]
    if rows:
        connection.execute(_SAVE, rows)


def read_image_vectors(
    connection: Connection, generation: Generation, image_ids: Sequence[str]
) -> dict[str, Floats]:
    of = {
        "catalog_id": generation.catalog_id,
        "space": generation.space,
        "space_version": generation.space_version,
    }
    found = look_up(connection, _VECTORS, image_ids, of)
    return {row.image_id: to_floats(row.data) for row in found}
