"""Rows of the record, as columns in memory read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sightline_rules.fields import FIELDS


class ProductRow(NamedTuple):
    """A product as columns hold it."""

    product_id: str
    cells: Mapping[str, Any]
    """Cells of the SQL columns of HELD, by name."""
    image_hash: int
    """Perceptual hash of its first photo, 64 bits; 0 if it has none."""


HELD = tuple(field for field in FIELDS if field.filtered or field.candidate)
"""Fields that columns hold: those used by filters or by ranking."""


class PhotoRow(NamedTuple):
    """A row of an index: a photo of a product, or a product where it has one vector."""

    row_id: str
    product_id: str
    image_id: str
    """Empty where the product itself has the vector."""
    position: int
    """Position of the photo among its product's, from 0."""
    seq: int
    """The commit that wrote the vector."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of a catalog since a commit."""

    head: int
    """The newest commit at the time of the read: all changes up to it are included."""
    products: Sequence[ProductRow]
    """Changed products in their current state."""
    gone: Sequence[str]
    """Ids of deleted products."""
    uid: str = ""
    """Tells the catalog from earlier ones of its id, whose commits have other meanings; empty if
    the registry has no entry of it."""
    known_from: int = 0
    """Deletions are known since this commit: changes since an earlier one are not complete."""
