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
from typing import Any, TypeVar

from prometheus_client import Counter

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
    "Hedged requests to a peer: the second request answered first (won), or the first (lost).",
    ("peer", "outcome"),
)


one_at_a_time: ContextVar[asyncio.Lock | None] = ContextVar("one_at_a_time", default=None)
"""Lock that lets one call of an expensive request run at a time: a peer works on calls in the order
in which they arrive, so that other requests go between them. `None`: no bound."""


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
        if (alone := one_at_a_time.get()) is not None:
            async with alone:
                return await start()
        if not self._share:
            return await start()
        self._saved = min(SAVED, self._saved + self._share)
        begun = self._clock()
        first = asyncio.ensure_future(start())
        both = {first}
        try:
            await asyncio.wait(both, timeout=self.late)
            if not first.done() and self._saved >= 1:
                self._saved -= 1
                both.add(asyncio.ensure_future(start()))
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                HEDGED.labels(self._peer, "lost" if first.done() else "won").inc()
                return await next(each for each in both if each.done())
            return await first
        finally:
            self._learn(self._clock() - begun)
            for each in both:
                each.cancel()

    def _learn(self, seconds: float) -> None:
        self.late = max(_LEAST, self.late * (_RAISED if seconds > self.late else _LOWERED))
