"""Texts that many shoppers searched for, counted again after some minutes.

They are counted from events alone and kept in memory only: what an erased shopper searched for no
longer counts after the next count.
"""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Protocol

from ranker.domain.events import DAY_MICROS
from ranker.domain.searches import DAYS, SearchCount
from servicekit.catalogs.known import CatalogChange
from servicekit.clock import Clock, now_micros

COUNT_MICROS = 10 * 60 * 1_000_000
"""Microseconds for which a count is used."""


class SearchReader(Protocol):
    """The record, as counts of searches use it."""

    async def counts(self, catalog_id: str, since_micros: int, floor: int) -> Sequence[SearchCount]:
        """Return the texts that at least `floor` shoppers searched for since then."""


@dataclass(frozen=True, slots=True)
class CountedSearches:
    """Texts that many shoppers searched for."""

    time_micros: int
    """Time at which they were counted, microseconds since 1970 (UTC)."""
    searches: Sequence[SearchCount]


@dataclass(slots=True)
class FrequentSearches:
    """Counts of searches by catalog. Not for several event loops."""

    record: SearchReader
    floor: int
    """Minimum number of shoppers of a text."""
    readable: bool = True
    """True if texts of searches are stored as they are typed."""
    clock: Clock = now_micros
    _kept: dict[str, CountedSearches] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[CountedSearches]] = field(default_factory=dict)

    async def of(self, catalog_id: str) -> CountedSearches:
        """Return the texts that most shoppers searched for. Raise EncryptionKeyMissing."""
        if not self.readable:
            return CountedSearches(self.clock(), ())
        kept = self._kept.get(catalog_id)
        if kept is not None and self.clock() < kept.time_micros + COUNT_MICROS:
            return kept
        task = self._running.get(catalog_id)
        if task is None:
            # It goes on if its caller stops waiting, and serves the next one.
            task = asyncio.create_task(self._count(catalog_id), context=Context())
            self._running[catalog_id] = task
            task.add_done_callback(lambda done: self._end(catalog_id, done))
        return await asyncio.shield(task)

    def follow(self, change: CatalogChange) -> None:
        """Drop the counts of catalogs that are no longer in use, or were replaced."""
        for catalog_id in change.removed:
            self._kept.pop(catalog_id, None)
            self._running.pop(catalog_id, None)

    async def _count(self, catalog_id: str) -> CountedSearches:
        now = self.clock()
        found = await self.record.counts(catalog_id, now - DAYS * DAY_MICROS, self.floor)
        counted = CountedSearches(now, found)
        if self._running.get(catalog_id) is asyncio.current_task():  # it still is that catalog
            self._kept[catalog_id] = counted
        return counted

    def _end(self, catalog_id: str, task: asyncio.Task[CountedSearches]) -> None:
        if self._running.get(catalog_id) is task:
            del self._running[catalog_id]
        if not task.cancelled():
            task.exception()  # a waiting caller gets it; the next call counts again
