"""Queues by priority: shoppers before imports, and callers and catalogs in turns. Items that would
miss a deadline are rejected."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from embedder.domain.errors import QueueFull
from embedder.domain.items import Priority
from servicekit import deadlines
from servicekit.admission.fair_permits import FairSemaphore, Party
from servicekit.telemetry import Stages

SOONEST, LATEST = 0.1, 30.0
"""Seconds after which a retry is advised, at least and at most."""

AHEAD = 16
"""Items of one model that run at once, by default."""

_MEMORY = 0.1
"""Weight of the newest interval between two items in their moving mean."""


class ModelQueue:
    """Queue of one model, bounded in items and in time, fair between callers and catalogs.

    An item that would not be done before its deadline is rejected at once, so that its caller has
    time left for a fallback. Its expected wait is the number of items before it times the recent
    mean interval between two items. Parties take turns, so of each other party at most one
    item more than the party's own number counts as being before it.
    """

    def __init__(
        self, most: int, ahead: int = AHEAD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Limit each priority to `most` items at once, and all of them to `ahead` running ones.

        A party with less than its share of `most` may have more, up to twice `most` in all.
        """
        self._most = most
        self._clock = clock
        self._permits = FairSemaphore(ahead, reserved=ahead // 4)
        self._inside: dict[Priority, Counter[Party]] = {each: Counter() for each in Priority}
        self._interval = 0.0
        self._last = -math.inf

    @contextmanager
    def place(
        self, priority: Priority, party: Party, seconds: float | None, count: int = 1
    ) -> Iterator[None]:
        """Count `count` items as queued while the block runs.

        `seconds` are left until the deadline; None: there is none. Raises QueueFull.
        """
        self._check(priority, party, seconds)
        inside = self._inside[priority]
        if not any(self._inside.values()):
            self._last = self._clock()
        inside[party] += count
        try:
            yield
            self._measure(count)  # abandoned items do not measure the model's speed
        finally:
            inside[party] -= count
            if not inside[party]:
                del inside[party]

    @asynccontextmanager
    async def running(
        self, priority: Priority, party: Party, stages: Stages
    ) -> AsyncIterator[None]:
        """Run the block when it is the party's turn, by the time that its items were running. The
        wait is the stage "queue".

        Photos are decoded shortly before their inference: decoding earlier would take processor
        time from items that could be answered now. A quarter is reserved for interactive items.
        """
        with stages.measure("queue"):
            permit = await self._permits.acquire(party, priority)
        began = self._clock()
        try:
            yield
        finally:
            self._permits.release(permit, self._clock() - began)

    @asynccontextmanager
    async def turn(
        self, priority: Priority, party: Party, stages: Stages, count: int = 1
    ) -> AsyncIterator[None]:
        """Run the block of `count` items, of this call, when it is their turn. Raises QueueFull."""
        with self.place(priority, party, deadlines.remaining(), count):
            async with self.running(priority, party, stages):
                yield

    def wait(self, priority: Priority, party: Party) -> float:
        """Return the seconds that an item of this priority and party would wait now."""
        before = 0
        for other, inside in self._inside.items():
            if other <= priority:
                own = inside[party]
                before += own + sum(
                    min(count, own + 1) for each, count in inside.items() if each != party
                )
        return before * self._interval

    def _measure(self, count: int) -> None:
        now = self._clock()
        self._interval += _MEMORY * ((now - self._last) / count - self._interval)
        self._last = now

    def _check(self, priority: Priority, party: Party, seconds: float | None) -> None:
        wait = self.wait(priority, party)
        late = wait - (math.inf if seconds is None else seconds)
        if late > 0 or self._is_full(self._inside[priority], party):
            after = late if late > 0 else self._interval
            raise QueueFull(timedelta(seconds=min(max(after, SOONEST), LATEST)))

    def _is_full(self, inside: Counter[Party], party: Party) -> bool:
        own = inside[party]
        parties = len(inside) + (not own)
        total = inside.total()
        return total >= 2 * self._most or (total >= self._most and own * parties >= self._most)


class ModelQueues:
    """Queues by model: a model that hangs delays its own items only."""

    def __init__(self, most: int, ahead: int = AHEAD) -> None:
        """`most`, `ahead`: see ModelQueue."""
        self._queues = defaultdict[str, ModelQueue](lambda: ModelQueue(most, ahead))

    def of(self, model: str) -> ModelQueue:
        """Return the queue of a model by its name."""
        return self._queues[model]
