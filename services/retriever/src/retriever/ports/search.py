"""The record, as searches use it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from retriever.domain.filter_parts import MatchingRows, Part
from retriever.domain.generation import Counts, Generation, GenerationSnapshot
from retriever.domain.product import Product
from retriever.domain.synonyms import Others
from retriever.domain.vectors import Floats, VectorWrite
from retriever.domain.words import NO_OTHERS
from retriever.ports.columns import ColumnRecord
from retriever.ports.generations import RowsRecord
from servicekit.errors import ServiceError
from sightline_rules.facts import Facts
from sightline_rules.filters import Filter


class MatchRecord(RowsRecord, Protocol):
    """The record, as searches along a plan use it."""

    async def sample(self, catalog_id: str, after: str, size: int) -> tuple[list[Facts], int]:
        """Return products of the `size` rows after a row id, and the approximate number of rows."""

    async def matching_rows(
        self, generation: Generation, condition: Filter, part: Part, most: int
    ) -> MatchingRows | None:
        """Return the rows that pass, found by an indexed part of the filter.

        Return None if more than `most` products pass that part.
        """

    async def vectors_of_rows(self, generation: Generation, row_ids: Sequence[str]) -> MatchingRows:
        """Return the rows that the generation should hold, in any order."""


class SearchRecord(MatchRecord, ColumnRecord, Protocol):
    """The record, as searches use it."""

    async def generation_snapshot(
        self, catalog_id: str, space: str, name: str = ""
    ) -> GenerationSnapshot | None:
        """Return a generation with its freshness, from one snapshot."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """Return the products that exist."""

    async def product_vectors(self, generation: Generation, product_id: str) -> list[Floats]:
        """Return the vectors of a product's photos in order, or its own."""

    async def image_ids(
        self, catalog_id: str, product_ids: Sequence[str]
    ) -> dict[str, frozenset[str]]:
        """Return by product the photos that it has now; products without photos are left out."""

    async def first_vectors(
        self, generation: Generation, product_ids: Sequence[str]
    ) -> dict[str, Floats]:
        """Return by product the vector of its first photo, if it has one."""

    async def counts(self, catalog_id: str, generation: Generation | None) -> Counts:
        """Return the record's counts."""

    async def save_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> tuple[list[ServiceError | None], int]:
        """Store vectors in one transaction.

        Return the error of each, and the record's newest seq.
        """

    async def find_words(
        self,
        catalog_id: str,
        asked: Sequence[str],
        condition: Filter,
        excluded: Collection[str],
        *,
        others: Others = NO_OTHERS,
    ) -> list[tuple[str, float]]:
        """Return up to 1,000 products that have any of the words and pass, each with its match (0
        to 1), best first, equal ones by id. `others`: terms that count as words."""

    async def mean_vectors(
        self, generation: Generation, after: str, limit: int
    ) -> list[tuple[str, Floats]]:
        """Return the first products after `after` with a vector, by id, each with the mean of its
        photos' vectors, or its own."""
