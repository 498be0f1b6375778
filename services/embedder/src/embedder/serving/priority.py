"""Queues by priority: shoppers before imports. Items that would miss a deadline are rejected."""

import asyncio
import heapq
import itertools
import math
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import timedelta

from embedder.domain.errors import QueueFull
from embedder.domain.items import Priority
from servicekit.telemetry import Stages

urgency: ContextVar[Priority | None] = ContextVar("urgency", default=None)
"""Priority of the current call. None: no call, such as a probe of a model."""


@contextmanager
def asking(priority: Priority) -> Iterator[None]:
    """Set the priority of calls within the block."""
    former = urgency.set(priority)
    try:
        yield
    finally:
        urgency.reset(former)


SOONEST, LATEST = 0.1, 30.0
"""Seconds after which a retry is advised, at least and at most."""

AHEAD = 16
"""Items of one model that run at once, by default."""

_MEMORY = 0.1
"""Weight of the newest interval between two items in their moving mean."""


class PrioritySemaphore:
    """Priority semaphore: N permits, FIFO within a priority."""

    def __init__(self, permits: int, reserved: int = 0) -> None:
        """Create a semaphore. Bulk work leaves `reserved` of the `permits` free, fewer than all."""
        if not 0 <= reserved < permits:
            raise ValueError("at least one permit has to be open to bulk work")
        self._free = permits
        self._reserved = reserved
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @asynccontextmanager
    async def hold(self, priority: Priority, stages: Stages, waiting: str) -> AsyncIterator[None]:
        """Hold a permit while the block runs. The wait is the stage `waiting`."""
        with stages.measure(waiting):
            await self.acquire(priority)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, priority: Priority) -> None:
        """Wait for a permit; return it with `release`."""
        if not self._waiting and self._may_start(priority):
            self._free -= 1
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (priority, next(self._numbers), granted)
        heapq.heappush(self._waiting, entry)
        self._admit()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            elif entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def release(self) -> None:
        """Return a permit."""
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            priority, _, granted = self._waiting[0]
            gave_up = granted.done()  # cancelled, but its task has not run since
            if not gave_up and not self._may_start(priority):
                return
            heapq.heappop(self._waiting)
            if not gave_up:
                self._free -= 1
                granted.set_result(None)

    def _may_start(self, priority: Priority) -> bool:
        return self._free > (0 if priority is Priority.INTERACTIVE else self._reserved)


class ModelQueue:
    """Queue of one model, bounded in items and in time.

    An item that would not be done before its deadline is rejected at once, so that its caller has
    time left for a fallback. Its expected wait is the number of items before it times the recent
    mean interval between two items.
    """

    def __init__(
        self, most: int, ahead: int = AHEAD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Limit each priority to `most` items at once, and all of them to `ahead` running ones."""
        self._most = most
        self._clock = clock
        self.running = PrioritySemaphore(ahead, reserved=ahead // 4)
        """Photos are decoded shortly before their inference: decoding earlier would take processor
        time from items that could be answered now. A quarter is reserved for interactive items."""
        self._inside: Counter[Priority] = Counter()
        self._interval = 0.0
        self._last = -math.inf

    @contextmanager
    def place(self, priority: Priority, seconds: float | None, count: int = 1) -> Iterator[None]:
        """Count `count` items as queued while the block runs.

        `seconds` are left until the deadline; None: there is none. Raises QueueFull.
        """
        self._check(priority, seconds)
        if not self._inside.total():
            self._last = self._clock()
        self._inside[priority] += count
        try:
            yield
            self._measure(count)  # abandoned items do not measure the model's speed
        finally:
            self._inside[priority] -= count

    def wait(self, priority: Priority) -> float:
        """Return the expected wait in seconds of an item of this priority."""
        before = sum(count for other, count in self._inside.items() if other <= priority)
        return before * self._interval

    def _measure(self, count: int) -> None:
        now = self._clock()
        self._interval += _MEMORY * ((now - self._last) / count - self._interval)
        self._last = now

    def _check(self, priority: Priority, seconds: float | None) -> None:
        wait = self.wait(priority)
        late = wait - (math.inf if seconds is None else seconds)
        if late > 0 or self._inside[priority] >= self._most:
            after = late if late > 0 else self._interval
            raise QueueFull(timedelta(seconds=min(max(after, SOONEST), LATEST)))


class ModelQueues:
    """Queues by model: a model that hangs delays its own items only."""

    def __init__(self, most: int, ahead: int = AHEAD) -> None:
        """`most`, `ahead`: see ModelQueue."""
        self._queues = defaultdict[str, ModelQueue](lambda: ModelQueue(most, ahead))

    def of(self, model: str) -> ModelQueue:
        """Return the queue of a model by its name."""
        return self._queues[model]
