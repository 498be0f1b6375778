"""The record, as columns in memory read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from retriever.domain.filter_parts import MatchingRows
from retriever.domain.generation import Generation
from retriever.domain.words import Words
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


class ColumnRecord(Protocol):
    """The record, as columns read it."""

    def version(self) -> int | None:
        """Return a number that changes with every commit; None if unknown."""

    async def written(self, catalog_id: str, after: int | None) -> Changes:
        """Return the changes after a commit; None: everything."""

    async def product_rows(self, catalog_id: str, product_ids: Sequence[str]) -> Changes:
        """Return the products that exist; no other changes."""

    async def photo_rows(
        self, generation: Generation, product_ids: Sequence[str] | None
    ) -> list[PhotoRow]:
        """Return the rows that a generation should hold of these products; None: of all."""

    async def photo_rows_since(
        self, generation: Generation, after: int
    ) -> tuple[list[str], list[PhotoRow]]:
        """Return the products that changed after a commit, and the rows that a generation should
        hold of them."""

    async def vectors_of_rows(self, generation: Generation, row_ids: Sequence[str]) -> MatchingRows:
        """Return the rows that the generation should hold, with their vectors."""

    async def words(
        self, catalog_id: str, product_ids: Sequence[str] | None
    ) -> list[tuple[str, Words]]:
        """Return the words of the existing ones of these products; None: of all."""

    async def words_since(self, catalog_id: str, after: int) -> list[tuple[str, Words]]:
        """Return the words of the existing products that changed after a commit."""

    async def row_count(self, generation: Generation, most: int | None = None) -> int:
        """Return the number of expected rows, at most `most`."""

    async def product_count(self, catalog_id: str, most: int) -> int:
        """Return the number of products, at most `most`."""
