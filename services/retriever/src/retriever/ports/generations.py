"""The record of index generations and their rows."""

from collections.abc import Sequence
from typing import Protocol

from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.generation import (
    Freshness,
    Generation,
    GenerationStatus,
    Outstanding,
)
from retriever.domain.index_values import Change, IndexRow


class GenerationsRecord(Protocol):
    """The generations of catalogs."""

    async def generation(self, catalog_id: str, space: str, name: str = "") -> Generation | None:
        """Return the generation of this name, or the active one; None if it does not exist."""

    async def generations(self, catalog_id: str) -> list[Generation]:
        """Return every live generation, oldest first."""

    async def outstanding(self, catalogs: Sequence[str]) -> list[Outstanding]:
        """Return every live generation of some catalogs, oldest first, with whether it is
        incomplete."""

    async def history(self, catalog_id: str) -> list[Generation]:
        """Return every generation, including dropped ones, oldest first."""

    async def find_generation(self, catalog_id: str, name: str) -> Generation:
        """Return a live generation. Raises GenerationNotFound."""

    async def create_generation(self, generation: Generation) -> Generation:
        """Register a generation, active if its space has no active one, with all photos pending.

        Times that are 0 become now. An existing generation of the name is returned unchanged.
        """

    async def freshness(self, generation: Generation) -> Freshness:
        """Return the lag of a generation behind the record."""

    async def want_check(self, generation: Generation) -> None:
        """Request a comparison of the generation with the record."""


class RowsRecord(GenerationsRecord, Protocol):
    """The rows that an index should hold."""

    async def rows(
        self, generation: Generation, product_ids: Sequence[str], *, after: int = -1
    ) -> list[IndexRow]:
        """Return the expected rows of these products, of commits after `after` only."""

    async def row_page(self, generation: Generation, after: str, limit: int) -> list[IndexRow]:
        """Return the expected rows after a row id, ordered by id."""

    async def row_count(self, generation: Generation, most: int | None = None) -> int:
        """Return the number of expected rows, at most `most`."""

    async def changes(self, generation: Generation, limit: int) -> list[Change]:
        """Return the oldest outbox entries that the generation does not hold, in order."""


class RegistryRecord(GenerationsRecord, Protocol):
    """The registry of generations. Each call is one transaction."""

    async def register(self, generation: Generation) -> Generation:
        """Register a generation; a space's first is active, with all photos pending, unless callers
        give its vectors. Else it is building.

        Raises GenerationExists, GenerationsFull.
        """

    async def activate(self, catalog_id: str, name: str, *, force: bool) -> Generation:
        """Make a generation the active one of its space; does nothing if it is.

        Raises GenerationNotFound, GenerationNotVerified.
        """

    async def rollback(self, catalog_id: str, space: str) -> Generation:
        """Activate the previously active generation. Raises RollbackUnavailable."""

    async def retire(self, catalog_id: str, name: str) -> Generation:
        """Take a generation out of service. Raises GenerationNotFound, GenerationActive."""

    async def statuses(
        self, catalog_id: str, space: str = "", *, dropped: bool = False
    ) -> list[GenerationStatus]:
        """Return the generations of a space (empty: of all), oldest first."""

    async def offers(self, catalog_id: str) -> list[EmbeddingSpace]:
        """Return the spaces that the embedder served when the worker last asked."""
