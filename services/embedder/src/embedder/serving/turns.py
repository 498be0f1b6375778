"""Who goes first: shoppers before imports, and nobody into a queue that outlasts his deadline."""

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
"""Priority of the current call. None = nobody's call: what looks after a model asks it apart."""


@contextmanager
def asking(priority: Priority) -> Iterator[None]:
    """Have what the block does be of this priority."""
    former = urgency.set(priority)
    try:
        yield
    finally:
        urgency.reset(former)


SOONEST, LATEST = 0.1, 30.0
"""Seconds after which another try is advised, at least and at most."""

AHEAD = 16
"""Items of one model that have begun at once, if nobody says how many."""

_MEMORY = 0.1
"""Weight of the newest interval between two items in the mean of them."""


class Turns:
    """Lets so many in at once; the more urgent go first, and among alike who came first."""

    def __init__(self, places: int, kept: int = 0) -> None:
        """`places` at once, of which bulk work leaves `kept` free; at least one is its own."""
        if not 0 <= kept < places:
            raise ValueError("bulk work needs a place too")
        self._free = places
        self._kept = kept
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @asynccontextmanager
    async def turn(self, priority: Priority, stages: Stages, waiting: str) -> AsyncIterator[None]:
        """Wait for a place, which is the stage `waiting`, and hold it while the block runs."""
        with stages.measure(waiting):
            await self.enter(priority)
        try:
            yield
        finally:
            self.leave()

    async def enter(self, priority: Priority) -> None:
        """Wait for a place, to be given back by `leave`."""
        if not self._waiting and self._may_enter(priority):
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (priority, next(self._numbers), turn)
        heapq.heappush(self._waiting, entry)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            elif entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def leave(self) -> None:
        """Give a place back."""
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            priority, _, turn = self._waiting[0]
            gave_up = turn.done()  # cancelled, but its task did not run yet to say so
            if not gave_up and not self._may_enter(priority):
                return
            heapq.heappop(self._waiting)
            if not gave_up:
                self._free -= 1
                turn.set_result(None)

    def _may_enter(self, priority: Priority) -> bool:
        return self._free > (0 if priority is Priority.INTERACTIVE else self._kept)


class Queue:
    """What one model has to do, bounded in number and in time.

    An item that could not be done before its deadline is refused at once, so that its caller has
    time left for something else. How long it would wait is what is before it times the mean
    interval at which items were done lately.
    """

    def __init__(
        self, most: int, ahead: int = AHEAD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """At most `most` items of one priority at once; of all of them `ahead` have begun."""
        self._most = most
        self._clock = clock
        self.begun = Turns(ahead, kept=ahead // 4)
        """Photos are not decoded much sooner than the model takes them: what is decoded for later
        takes the processors from what could be answered now. A quarter is kept from bulk work."""
        self._inside: Counter[Priority] = Counter()
        self._interval = 0.0
        self._last = -math.inf

    @contextmanager
    def place(self, priority: Priority, seconds: float | None, count: int = 1) -> Iterator[None]:
        """Take `count` items in for the time of the block.

        `seconds` are left until its deadline; None = it has none. Raises QueueFull.
        """
        self._check(priority, seconds)
        if not self._inside.total():
            self._last = self._clock()
        self._inside[priority] += count
        try:
            yield
            self._measure(count)  # not of what was given up: that says nothing of the model's speed
        finally:
            self._inside[priority] -= count

    def wait(self, priority: Priority) -> float:
        """Seconds that an item would wait now for those that go before it."""
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


class Queues:
    """A queue for each model: one that hangs holds up its own items only."""

    def __init__(self, most: int, ahead: int = AHEAD) -> None:
        """As of Queue, for each."""
        self._queues = defaultdict[str, Queue](lambda: Queue(most, ahead))

    def of(self, model: str) -> Queue:
        """Return the queue of a model by its name."""
        return self._queues[model]
