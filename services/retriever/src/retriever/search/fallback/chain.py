"""Order of sources of a search: the engine, then the record, then an error that both are
unavailable."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from retriever.columns.column_cache import Columns
from retriever.domain.errors import IndexUnavailable
from retriever.domain.generation import Generation
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from retriever.search.fallback.collection_breaker import PROBE_SECONDS, CollectionBreaker
from retriever.search.fallback.from_record import MOST_ROWS, RecordCopy, RecordFallback
from retriever.search.nearest import Nearest, RoundResult
from sightline_rules.filters import Filter

SHARE = 0.5
"""Share of the remaining time that a call to the engine may take if the record could answer
instead."""

Remaining = Callable[[], float | None]

T = TypeVar("T")


class FallbackChain:
    """Sources for the searches of one process."""

    def __init__(
        self,
        record: Record,
        index: VectorIndex,
        most: int = MOST_ROWS,
        columns: Columns | None = None,
        *,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        """Create the chain.

        `most`: largest generation, in rows, that the record answers from; 0: never. `columns`:
        those of the process; None: create new ones. `probe_seconds`: timeout of a probe of the
        engine.
        """
        self.most = most
        self.breaker = CollectionBreaker(record, index, most, patience=probe_seconds)
        self._record_fallback = RecordFallback(record, columns, most)

    async def call(
        self,
        generation: Generation,
        rows: int,
        remaining: Remaining,
        ask: Callable[[], Awaitable[T]],
    ) -> T:
        """Return the engine's answer.

        `rows`: approximate number in the catalog. Raises IndexUnavailable.
        """
        left = remaining()
        if left is not None and rows <= self.most:
            left *= SHARE
        return await self.breaker.call(generation, left, ask)

    async def instead(
        self, generation: Generation, condition: Filter, wanted: int, seconds: float | None
    ) -> RecordCopy | None:
        """Return rows of the record in place of the engine's, if they can be read in time; see
        `RecordFallback.rows`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._record_fallback.rows(generation, condition, wanted)
        except TimeoutError as error:
            raise IndexUnavailable from error

    async def meanwhile(
        self, generation: Generation, condition: Filter, wanted: int, seconds: float | None
    ) -> RecordCopy | None:
        """Return rows of the record for a search that waits for a write.

        Return None if the engine is not lost, and may still receive the write.
        """
        self.breaker.suspect(generation)
        if not self.breaker.lost(generation):
            return None
        return await self.instead(generation, condition, wanted, seconds)


@dataclass(slots=True)
class FallbackSearch:
    """One search: by the engine until that is lost, then by the record."""

    nearest: Nearest
    wanted: int
    """The commit that the search has to see. 0 for any."""
    fallback: FallbackChain | None
    """Fallback without the engine. `None` if only the engine answers."""
    copy: RecordCopy | None
    """Rows of the record to search. `None` while the engine searches."""
    remaining: Remaining

    async def look(self, limit: int) -> RoundResult:
        """Search for `limit` rows. Raises IndexUnavailable."""
        search = self.nearest
        if self.copy is None:
            try:
                return await self._engine(limit)
            except IndexUnavailable:
                if self.fallback is not None:
                    self.copy = await self.fallback.instead(
                        search.generation, search.condition, self.wanted, self.remaining()
                    )
                if self.copy is None:
                    raise
        metric = search.generation.parameters.metric
        search.last = await self.copy.look(search.vectors, metric, limit)
        return search.last

    async def _engine(self, limit: int) -> RoundResult:
        search = self.nearest
        found = await search.look(limit, self.remaining())
        if self.fallback and not found.hits:
            await self.fallback.breaker.found_nothing(search.generation, search.condition)
        return found

    def words(self, rounds: int, rows: int) -> str:
        """Describe the search in one line."""
        if self.copy is None:
            return self.nearest.plan.words(rounds, rows, self.nearest.last.matches)
        counted = f"{rounds} {'round' if rounds == 1 else 'rounds'}, {rows} rows"
        return f"{self.copy.words}, {counted}, the index is unavailable"
