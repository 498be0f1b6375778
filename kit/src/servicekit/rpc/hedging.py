"""A second request where the first one is unusually late; the first answer counts.

Dean and Barroso, The Tail at Scale, 2013 (doi:10.1145/2408776.2408794). gRPC's own hedging is not
part of the C core that Python's gRPC uses (https://github.com/grpc/proposal/pull/287; grpcio 1.85.1
reads no hedgingPolicy), so it is implemented here. It helps where one of several replicas of a peer
is slow; with a single replica it only adds load.
"""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from prometheus_client import Counter

from servicekit.deadlines import TimeLimit

T = TypeVar("T")

LATE = 0.95
"""Quantile of the durations of calls above which a call is late."""
SAVED = 10.0
"""Maximum number of unused second requests that are carried over."""
_STEP = 0.04
"""Step by which a late call raises the estimate (a logarithm); other calls lower it so that it
stays at the quantile."""
_RAISED, _LOWERED = math.exp(_STEP * LATE), math.exp(-_STEP * (1 - LATE))
_LEAST, _FIRST = 0.005, 0.1

HEDGED = Counter(
    "sightline_hedged_total",
    "Hedged requests to a peer: the second request ended first (won), or did not (lost).",
    ("peer", "outcome"),
)


one_at_a_time: ContextVar[asyncio.Lock | None] = ContextVar("one_at_a_time", default=None)
"""Lock that lets one call of an expensive request run at a time: a peer works on calls in the order
in which they arrive, so that other requests go between them. `None`: no bound."""


async def in_turn(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Make a call; for an expensive request, once its other calls have ended."""
    if (alone := one_at_a_time.get()) is None:
        return await start()
    async with alone:
        return await start()


class Hedging:
    """Hedged requests of one idempotent method."""

    def __init__(self, peer: str, share: float, clock: Callable[[], float] = time.perf_counter):
        """`share`: maximum share of second requests among all; 0: none."""
        self._peer, self._share, self._clock = peer, share, clock
        self._saved = 0.0
        self.late = _FIRST
        """Seconds after which a call is late: an estimate of their quantile LATE."""

    async def call(self, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the first answer of one or two requests; the other request is cancelled.

        A call of an expensive request is not hedged: the second one would cost as much again.
        """
        if not self._share or one_at_a_time.get() is not None:
            return await in_turn(start)
        self._saved = min(SAVED, self._saved + self._share)
        begun, second = self._clock(), _SecondRequest(start, self.late, self._may_start)
        try:
            with second:
                return await start()
        except TimeoutError:
            if second.task is None or not second.is_first:
                raise
            return await second.task
        finally:
            late = self.late * (_RAISED if self._clock() - begun > self.late else _LOWERED)
            self.late = late if late > _LEAST else _LEAST
            if second.stop():
                outcome = "won" if second.is_first else "lost"
                HEDGED.labels(self._peer, outcome).inc()

    def _may_start(self) -> bool:
        """Return whether one more second request is within their share, and count it."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class _SecondRequest(TimeLimit, Generic[T]):
    """The second request of a call, which starts when the first one is late, and whose end is the
    limit of that one.

    The first one runs in the caller's own task: most calls make no second one, and a task would
    take three times as long as the rest of hedging.
    """

    def __init__(
        self,
        start: Callable[[], Coroutine[Any, Any, T]],
        late: float,
        may_start: Callable[[], bool],
    ) -> None:
        super().__init__(late)
        self._start, self._may_start = start, may_start
        self.task: asyncio.Task[T] | None = None
        self._stopped = False

    @property
    def is_first(self) -> bool:
        """Return whether the second request ended before the first one."""
        return self._expired

    def stop(self) -> bool:
        """Cancel the request; return whether it was started."""
        self._stopped = True
        if self.task is None:
            return False
        self.task.cancel()
        self.task = None  # its error has the frames of those who hold this object
        return True

    def _expire(self) -> None:
        if not self._stopped and self._may_start():
            self.task = asyncio.ensure_future(self._start())
            self.task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[T]) -> None:
        if not self._stopped:
            super()._expire()
