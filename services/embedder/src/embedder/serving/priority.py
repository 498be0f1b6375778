"""Queues by priority: shoppers before imports. Items that would miss a deadline are rejected."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

from embedder.domain.errors import QueueFull
from embedder.domain.items import Priority
from servicekit.priority import PrioritySemaphore

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
