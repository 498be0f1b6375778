"""What searches ask of the record."""

from collections.abc import Collection, Sequence
from typing import Protocol

from retriever.domain.filter_parts import MatchingRows, Part
from retriever.domain.generation import Counts, Generation, GenerationSnapshot
from retriever.domain.product import Product
from retriever.domain.vectors import Floats, VectorWrite
from retriever.ports.columns import ColumnRecord
from retriever.ports.generations import RowsRecord
from servicekit.errors import ServiceError
from sightline_rules.facts import Facts
from sightline_rules.filters import Filter


class MatchRecord(RowsRecord, Protocol):
    """The record as searches along a plan see it."""

    async def sample(self, catalog_id: str, after: str, size: int) -> tuple[list[Facts], int]:
        """Products of the `size` rows behind a row id, and how many rows there are, about."""

    async def matching_rows(
        self, generation: Generation, condition: Filter, part: Part, most: int
    ) -> MatchingRows | None:
        """The rows that pass, found by a part of the filter that an index answers.

        None = more than `most` products pass that part.
        """

    async def vectors_of_rows(self, generation: Generation, row_ids: Sequence[str]) -> MatchingRows:
        """Those of the rows that the generation should hold, in no order."""


class SearchRecord(MatchRecord, ColumnRecord, Protocol):
    """The record as searches see it."""

    async def generation_snapshot(
        self, catalog_id: str, space: str, name: str = ""
    ) -> GenerationSnapshot | None:
        """The same with its freshness, of one moment."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """The products that exist."""

    async def product_vectors(self, generation: Generation, product_id: str) -> list[Floats]:
        """The vectors of a product's photos in order, or its own."""

    async def image_ids(
        self, catalog_id: str, product_ids: Sequence[str]
    ) -> dict[str, frozenset[str]]:
        """By product, the photos that it has now; none of one that has no photo."""

    async def first_vectors(
        self, generation: Generation, product_ids: Sequence[str]
    ) -> dict[str, Floats]:
        """By product, the vector of its first photo; none where it has none."""

    async def counts(self, catalog_id: str, generation: Generation | None) -> Counts:
        """How much the record holds."""

    async def save_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> tuple[list[ServiceError | None], int]:
        """One transaction; what failed of each, and the record's newest seq afterwards."""

    async def find_words(
        self,
        catalog_id: str,
        asked: Sequence[str],
        condition: Filter,
        excluded: Collection[str],
    ) -> list[tuple[str, float]]:
        """Products that have any of the words and pass, each with how well it matches (0 to 1),
        best first, equal ones by id, up to 1,000."""

    async def mean_vectors(
        self, generation: Generation, after: str, limit: int
    ) -> list[tuple[str, Floats]]:
        """The first products behind `after` that have a vector, by id, each with the mean of its
        photos' vectors, or its own."""
