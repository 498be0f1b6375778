"""Perceptual hashes of photos."""

from collections.abc import Mapping

from sqlalchemy import Connection

from retriever.record.computed import ComputedColumn, users_of

_SIGN = 1 << 63
HASHES = ComputedColumn("perceptual_hash")


def to_signed(perceptual_hash: int) -> int:
    """Convert 64 unsigned bits to a signed number, as SQL stores it."""
    return perceptual_hash - 2 * _SIGN if perceptual_hash >= _SIGN else perceptual_hash


def from_signed(stored: int | None) -> int:
    """Convert a stored value back; the inverse of to_signed. Return 0 for None (not hashed yet)."""
    return (stored or 0) % (2 * _SIGN)


def write_hashes(connection: Connection, catalog_id: str, hashes: Mapping[str, int]) -> list[str]:
    """Store perceptual hashes of photos. Return the products that have these photos, by id."""
    signed = {image_id: to_signed(value) for image_id, value in hashes.items()}
    HASHES.save(connection, catalog_id, signed)
    return users_of(connection, catalog_id, hashes)
