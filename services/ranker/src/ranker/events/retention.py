"""Deletes what is too old: events by their type, and records of answers whose time is over.

It goes round and round in small transactions with pauses, so that events can be written meanwhile.
What is deleted is no longer there, so that killed or run twice it goes on where it was.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import Counter

from ranker.model import EventType
from servicekit import telemetry
from servicekit.errors import ServiceError

DAY_MICROS = 86_400 * 1_000_000
BATCH = 1000
"""Events a transaction: some hundredths of a second, for which a writer may have to wait."""
PAUSE_SECONDS = 0.05

WISHES = frozenset({EventType.HIDE, EventType.UNHIDE})
"""Kept as long as the shopper is: a product that was hidden would come back by itself."""

EXPIRED = Counter(
    "sightline_ranker_expired_total",
    "Events (by type) and records of answers (ANSWER) that were deleted for their age.",
    ("kind",),
)


class OldEvents(Protocol):
    """Where events are kept."""

    async def expire(
        self, catalog_id: str, event_type: EventType, before_micros: int, limit: int
    ) -> int:
        """Delete the oldest events of a type from before that time, at most `limit`; how many."""


class OldAnswers(Protocol):
    """Where records of answers are kept."""

    async def sweep(self, now_micros: int, limit: int) -> int:
        """Delete records that expired by now, at most `limit`; how many."""


def days_by_type(event_days: float, impression_days: float) -> Mapping[EventType, float]:
    """For how many days each type is kept; types that are kept for ever are left out."""
    days = {one: event_days for one in EventType if one not in WISHES}
    days[EventType.IMPRESSION] = impression_days or event_days
    return {one: number for one, number in days.items() if number > 0}


class Sweeper:
    """Looks again and again for what is too old."""

    def __init__(
        self,
        catalogs: Sequence[str],
        days: Mapping[EventType, float],
        events: OldEvents,
        answers: OldAnswers,
        now_micros: Callable[[], int],
    ) -> None:
        """`days`: for how long each type is kept; types that it lacks, for ever."""
        self._catalogs = catalogs
        self._days = days
        self._events = events
        self._answers = answers
        self._now = now_micros

    async def work(self, every_seconds: float, stop: asyncio.Event) -> None:
        """Sweep at once and then `every_seconds`, until `stop` is set. A store that is away or
        busy is told of in the log, and tried again the next time."""
        while not stop.is_set():
            try:
                await self.sweep(stop)
            except ServiceError as error:
                telemetry.get_logger().warning("nothing swept", reason=error.reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_seconds)

    async def sweep(self, stop: asyncio.Event) -> None:
        """Delete all that is too old by now."""
        now = self._now()
        await self._all("ANSWER", stop, functools.partial(self._answers.sweep, now, BATCH))
        for catalog_id in self._catalogs:
            for event_type, days in self._days.items():
                before = now - int(days * DAY_MICROS)
                batch = functools.partial(
                    self._events.expire, catalog_id, event_type, before, BATCH
                )
                await self._all(event_type.value, stop, batch)

    async def _all(
        self, kind: str, stop: asyncio.Event, batch: Callable[[], Awaitable[int]]
    ) -> None:
        while not stop.is_set():
            count = await batch()
            EXPIRED.labels(kind).inc(count)
            if count < BATCH:
                return
            await asyncio.sleep(PAUSE_SECONDS)
