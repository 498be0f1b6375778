"""Retention: deletes events by age and type, and expired records of answers.

It runs repeatedly in small transactions with pauses, so that events can be written meanwhile. It is
safe to kill and to run twice.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from prometheus_client import Counter

from ranker.domain.events import DAY_MICROS, EventType
from servicekit.liveness import LIVENESS
from servicekit.tasks.supervision import confined

BATCH = 1000
"""Events per transaction: some hundredths of a second, during which a writer may have to wait."""
PAUSE_SECONDS = 0.05

SWEEPING = "retention"
"""Name of the loop; see servicekit.liveness."""

WISHES = frozenset({EventType.HIDE, EventType.UNHIDE})
"""Types that are not deleted by age: otherwise a hidden product would reappear."""

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
    """Periodic deletion of expired data."""

    catalogs: Collection[str]
    days: Mapping[EventType, float]
    """Retention in days by type; other types do not expire."""
    expire: Callable[[str, EventType, int, int], Awaitable[int]]
    """(catalog, type, time, limit): deletes the oldest events of a type before that time; returns
    their number."""
    expire_answers: Callable[[int, int], Awaitable[int]]
    """(now, limit): deletes records of answers that have expired; returns their number."""
    now_micros: Callable[[], int]

    async def sweep(self, stop: asyncio.Event) -> None:
        """Delete all expired data."""
        now = self.now_micros()
        with confined(SWEEPING):
            await self._all("ANSWER", stop, functools.partial(self.expire_answers, now, BATCH))
        for catalog_id in self.catalogs:
            for event_type, days in self.days.items():
                before = now - int(days * DAY_MICROS)
                batch = functools.partial(self.expire, catalog_id, event_type, before, BATCH)
                with confined(SWEEPING, catalog=catalog_id, type=event_type.value):
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
