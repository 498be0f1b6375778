"""The vector index."""

from collections.abc import Sequence
from typing import Protocol

from retriever.domain.generation import EXACT, IndexParameters
from retriever.domain.index_values import WHOLE, CollectionState, Hit, IndexRow, Slice
from retriever.domain.vectors import Floats
from sightline_rules.filters import Filter


class VectorIndex(Protocol):
    """The engine. Every call raises IndexUnavailable, CollectionAbsent or CollectionReleased."""

    async def interrupted(self) -> None:
        """Return when the connection to the engine has ended, as in a restart. Raises nothing."""

    async def state(self, collection: str) -> CollectionState: ...

    async def create(
        self, collection: str, dimension: int, parameters: IndexParameters = EXACT
    ) -> None:
        """Create a collection, searchable at once; does nothing if it exists."""

    async def load(self, collection: str) -> None: ...

    async def upsert(
        self, collection: str, rows: Sequence[IndexRow], parameters: IndexParameters = EXACT
    ) -> None:
        """Write rows, visible to the next search. Raises IndexRefused too. `parameters`: those of
        `create`.

        In a collection with partitions, an existing row may be missing during the call.
        """

    async def delete(self, collection: str, row_ids: Sequence[str]) -> None:
        """Delete rows; unknown ids are ignored."""

    async def scan(self, collection: str, low: str, high: str) -> dict[str, int] | None:
        """Return row id → seq where low ≤ id < high; None: too many for one answer."""

    async def count(self, collection: str, *, latest: bool = True) -> int:
        """Return the number of rows. Without `latest`: as a search without it sees them."""

    async def search(
        self,
        collection: str,
        vectors: Sequence[Floats],
        condition: Filter,
        limit: int,
        seconds: float | None,
        *,
        latest: bool = False,
        parameters: IndexParameters = EXACT,
        of: Slice = WHOLE,
    ) -> list[Hit]:
        """Return at most `limit` rows for each vector, best first, each row once with its best
        similarity.

        Rows that pass `condition` are never left out; a few that do not pass may be included.
        `latest`: include every row whose upsert has returned; otherwise a cluster shows them
        slightly later. `parameters`: those of `create`, except `ef`. With HNSW, rows can be
        missing, under a narrow filter many, unless the engine `compares`. `of`: search this slice
        only.
        """

    async def compares(self) -> bool:
        """Return whether an HNSW search compares all passing rows where at most 7% of a collection
        pass.

        False while unknown.
        """

    async def matching_ids(
        self,
        collection: str,
        condition: Filter,
        most: int,
        seconds: float | None,
        *,
        latest: bool = False,
    ) -> list[str] | None:
        """Return ids of all rows that pass `condition`, and possibly a few others; None if there
        are more than `most`.

        `latest`: as in `search`.
        """

    async def flush(self, collection: str) -> None:
        """Write rows from memory into a form that is fast to search.

        An absent collection may be ignored.
        """

    async def flush_holds_up(self) -> bool:
        """Return whether writes wait about a second for a flush, as those of a server do."""

    async def drop(self, collection: str) -> None:
        """Delete the collection and its rows; does nothing if it does not exist."""
