"""Texts that many shoppers searched for, counted again after some minutes.

They are counted from events alone and kept in memory only: what an erased shopper searched for no
longer counts after the next count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from ranker.domain.events import DAY_MICROS
from ranker.domain.searches import DAYS, SearchCount
from ranker.record.searches import SearchRecord
from servicekit.catalogs.known import CatalogChange
from servicekit.clock import Clock, now_micros
from servicekit.tasks.refreshed import Refreshed, RefreshRules

COUNT_SECONDS = 600.0
"""Seconds for which a count is used."""
AGAIN_SECONDS = 5.0
"""Seconds until they are counted again after an error."""
LONGEST_SECONDS = 3_600.0
"""Maximum seconds of a count: far above what one takes, so that it ends and serves later calls."""
RULES = RefreshRules(COUNT_SECONDS, AGAIN_SECONDS, LONGEST_SECONDS, oldest=COUNT_SECONDS)


@dataclass(frozen=True, slots=True)
class CountedSearches:
    """Texts that many shoppers searched for."""

    time_micros: int
    """Time at which they were counted, microseconds since 1970 (UTC)."""
    searches: Sequence[SearchCount]


@dataclass(slots=True)
class FrequentSearches:
    """Counts of searches by catalog. Not for several event loops."""

    record: SearchRecord
    floor: int
    """Minimum number of shoppers of a text."""
    readable: bool = True
    """True if texts of searches are stored as they are typed."""
    clock: Clock = now_micros
    _counts: Refreshed[str, CountedSearches] = field(init=False)

    def __post_init__(self) -> None:
        clock = self.clock
        self._counts = Refreshed("searches", RULES, lambda: clock() / 1e6)

    async def of(self, catalog_id: str) -> CountedSearches:
        """Return the texts that most shoppers searched for. Raise EncryptionKeyMissing."""
        if not self.readable:
            return CountedSearches(self.clock(), ())
        return await self._counts.require(catalog_id, partial(self._count, catalog_id))

    def follow(self, change: CatalogChange) -> None:
        """Drop the counts of catalogs that are no longer in use, or were replaced."""
        for catalog_id in change.removed:
            self._counts.forget(catalog_id)

    async def _count(self, catalog_id: str) -> CountedSearches:
        now = self.clock()
        found = await self.record.counts(catalog_id, now - DAYS * DAY_MICROS, self.floor)
        return CountedSearches(now, found)
