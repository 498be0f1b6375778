"""The vector index."""

from collections.abc import Sequence
from typing import Protocol

from retriever.domain.generation import EXACT, IndexParameters
from retriever.domain.index_values import WHOLE, CollectionState, Hit, IndexRow, Slice
from retriever.domain.vectors import Floats
from sightline_rules.filters import Filter


class VectorIndex(Protocol):
    """The engine. Every call raises IndexUnavailable, CollectionAbsent or CollectionReleased."""

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

        Of a collection with partitions, a row that was there may be missing meanwhile.
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
        """Return at most `limit` rows for each vector, a row once with its best similarity, best
        first.

        Rows that pass `condition` are never left out; a few that do not pass may be included.
        `latest`: sees every row whose upsert has returned, which a cluster otherwise shows a little
        later. `parameters`: those of `create`, `ef` aside. With HNSW rows can be left out, and
        under a narrow filter many are, unless it `compares`. `of`: rows of other slices are left
        out.
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
        """Return ids of all rows that pass `condition`, and perhaps a few others; None = more than
        `most`.

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
