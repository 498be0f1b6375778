"""Deletes what is too old: events by their type, and records of answers whose time is over.

It goes round and round in small transactions with pauses, so that events can be written meanwhile.
What is deleted is no longer there, so that killed or run twice it goes on where it was.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Counter

from ranker.domain.events import DAY_MICROS, EventType
from servicekit.liveness import LIVENESS

BATCH = 1000
"""Events a transaction: some hundredths of a second, for which a writer may have to wait."""
PAUSE_SECONDS = 0.05

SWEEPING = "retention"
"""See servicekit.liveness."""

WISHES = frozenset({EventType.HIDE, EventType.UNHIDE})
"""Kept as long as the shopper is: a product that was hidden would come back by itself."""

EXPIRED = Counter(
    "sightline_ranker_expired_total",
    "Events (by type) and records of answers (ANSWER) that were deleted for their age.",
    ("kind",),
)


def days_by_type(event_days: float, impression_days: float) -> Mapping[EventType, float]:
    """Return the retention of each type in days; types that are kept for ever are left out."""
    days = {one: event_days for one in EventType if one not in WISHES}
    days[EventType.IMPRESSION] = impression_days or event_days
    return {one: number for one, number in days.items() if number > 0}


@dataclass(eq=False)
class Sweeper:
    """Looks again and again for what is too old."""

    catalogs: Sequence[str]
    days: Mapping[EventType, float]
    """For how long each type is kept; types that it lacks, for ever."""
    expire: Callable[[str, EventType, int, int], Awaitable[int]]
    """(catalog, type, time, most) deletes the oldest events of a type from before that time; how
    many."""
    expire_answers: Callable[[int, int], Awaitable[int]]
    """(now, most) deletes records of answers that expired by now; how many."""
    now_micros: Callable[[], int]

    async def sweep(self, stop: asyncio.Event) -> None:
        """Delete all that is too old by now."""
        now = self.now_micros()
        await self._all("ANSWER", stop, functools.partial(self.expire_answers, now, BATCH))
        for catalog_id in self.catalogs:
            for event_type, days in self.days.items():
                before = now - int(days * DAY_MICROS)
                batch = functools.partial(self.expire, catalog_id, event_type, before, BATCH)
                await self._all(event_type.value, stop, batch)

    async def _all(
        self, kind: str, stop: asyncio.Event, batch: Callable[[], Awaitable[int]]
    ) -> None:
        while not stop.is_set():
            LIVENESS.report(SWEEPING)
            count = await batch()
            EXPIRED.labels(kind).inc(count)
            if count < BATCH:
                return
            await asyncio.sleep(PAUSE_SECONDS)
