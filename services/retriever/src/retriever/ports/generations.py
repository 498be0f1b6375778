"""What the use cases ask of the record about index generations and their rows."""

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
    """The generations of catalogs, as everybody sees them who works with one."""

    async def generation(self, catalog_id: str, space: str, name: str = "") -> Generation | None:
        """The generation of this name, or the active one; None = there is none."""

    async def generations(self, catalog_id: str) -> list[Generation]:
        """Every live generation, oldest first."""

    async def outstanding(self, catalogs: Sequence[str]) -> list[Outstanding]:
        """Every live generation of some catalogs, oldest first, with whether it lacks anything."""

    async def history(self, catalog_id: str) -> list[Generation]:
        """Every generation, those that were dropped too, oldest first."""

    async def find_generation(self, catalog_id: str, name: str) -> Generation:
        """A live generation. Raises GenerationNotFound."""

    async def create_generation(self, generation: Generation) -> Generation:
        """Register it, active when its space has no active one, with all photos pending.

        Times that are 0 are now. One that has the name stays as it is, and is what is answered.
        """

    async def freshness(self, generation: Generation) -> Freshness:
        """How far a generation is behind."""

    async def want_check(self, generation: Generation) -> None:
        """Ask the worker to compare the generation with the record."""


class RowsRecord(GenerationsRecord, Protocol):
    """What the index should hold."""

    async def rows(
        self, generation: Generation, product_ids: Sequence[str], *, after: int = -1
    ) -> list[IndexRow]:
        """What the index should hold of these products, of commits after one alone."""

    async def row_page(self, generation: Generation, after: str, limit: int) -> list[IndexRow]:
        """What the index should hold behind a row id, in the order of the ids."""

    async def row_count(self, generation: Generation, most: int | None = None) -> int:
        """How many rows the index should hold; of more than `most`, so many."""

    async def changes(self, generation: Generation, limit: int) -> list[Change]:
        """The oldest outbox entries that the generation does not hold, in order."""


class RegistryRecord(GenerationsRecord, Protocol):
    """The registry of generations. Each call is one transaction."""

    async def register(self, generation: Generation) -> Generation:
        """Register it; a space's first is active, with all photos pending, unless callers give its
        vectors. Else it is building.

        Raises GenerationExists, GenerationsFull.
        """

    async def activate(self, catalog_id: str, name: str, *, force: bool) -> Generation:
        """Make it the active one of its space; the one that is stays so.

        Raises GenerationNotFound, GenerationNotVerified.
        """

    async def rollback(self, catalog_id: str, space: str) -> Generation:
        """Make that one active that was so before. Raises RollbackUnavailable."""

    async def retire(self, catalog_id: str, name: str) -> Generation:
        """Take it out of service, unless it is. Raises GenerationNotFound, GenerationActive."""

    async def statuses(
        self, catalog_id: str, space: str = "", *, dropped: bool = False
    ) -> list[GenerationStatus]:
        """The generations of a space (empty = of all), oldest first."""

    async def offers(self, catalog_id: str) -> list[EmbeddingSpace]:
        """What the embedder served when the worker last saw it."""
