"""Places of expensive requests: few of them run at a time, so that cheap ones find processors free.

While cheap requests come, a place stays free after each expensive request for as long as that one
held it: expensive requests together have at most half of the time.

Start-time fair queueing by caller and catalog (servicekit.admission.fair_permits), on the time for
which each held a place. Of equally busy callers the cheapest request goes first.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from prometheus_client import Gauge, Histogram

from gateway.model.errors import ExpensiveRequestsBusy
from gateway.model.price import RequestPrice
from servicekit import deadlines
from servicekit.admission import costs
from servicekit.admission.fair_permits import FairSemaphore, Party, Permit

WAIT_SECONDS = 10.0
"""Seconds that a request without a deadline waits, at most."""
HELD_SECONDS = 2.0
"""Seconds for which a request holds its place, at most, for each processor second of its price. One
that takes longer waits for something else, such as the host of a photo or a peer that hangs."""
CHEAP_SECONDS = 2.0
"""Seconds for which a cheap request makes expensive ones take breaks."""
SOONEST, LATEST = 1.0, 30.0
"""Seconds after which a retry is advised, at least and at most."""

WAITING = Gauge(
    "sightline_gateway_expensive_requests_waiting",
    "Expensive requests that wait until others have ended.",
    multiprocess_mode="livesum",
)
WAITED = Histogram(
    "sightline_gateway_expensive_wait_seconds",
    "Time that expensive requests waited until others had ended, by outcome: ran, refused (their "
    "deadline was too near), gone (their caller left).",
    ("outcome",),
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_RAN, _REFUSED, _GONE = (WAITED.labels(each) for each in ("ran", "refused", "gone"))


class ExpensiveRequestLimiter:
    """Queue of the expensive requests of one process. Not for several event loops."""

    def __init__(self, places: int) -> None:
        """Let `places` expensive requests run at a time. 0: any number."""
        self._places = places
        self._permits = FairSemaphore(places) if places else None
        self._ahead = 0.0
        """Sum of the prices of the requests that wait or hold a place, in processor seconds."""
        self._cheap_until = -math.inf
        """Until when expensive requests take breaks, by the event loop's clock."""

    def queues(self, price: RequestPrice) -> bool:
        """Return whether a request has to wait for a place, and note one that does not."""
        if self._permits is not None and price.is_expensive:
            return True
        self._cheap_until = asyncio.get_running_loop().time() + CHEAP_SECONDS
        return False

    @asynccontextmanager
    async def held(self, price: RequestPrice, catalog_id: str) -> AsyncIterator[bool]:
        """Hold a place while the block runs, if the request is expensive. Yield whether it waited.

        Raises ExpensiveRequestsBusy if none becomes free early enough before the deadline.
        """
        if self._permits is None or not self.queues(price):
            yield False
            return
        self._ahead += price.queue_seconds
        try:
            permit, waited = await self._taken(self._permits, price, catalog_id)
            end = partial(self._end, partial(self._permits.release, permit))
            place = _Place(end, HELD_SECONDS * price.queue_seconds)
            try:
                yield waited
            finally:
                place.leave()
        finally:
            self._ahead -= price.queue_seconds

    async def _taken(
        self, permits: FairSemaphore, price: RequestPrice, catalog_id: str
    ) -> tuple[Permit, bool]:
        """Wait for a permit. Return it, and whether another request ran meanwhile."""
        now, outcome = asyncio.get_running_loop().time, _GONE
        began = now()
        WAITING.inc()
        try:
            async with asyncio.timeout(_patience(price.queue_seconds)):
                permit = await permits.acquire(Party.of(catalog_id), estimate=price.queue_seconds)
            outcome = _RAN
        except TimeoutError:
            outcome = _REFUSED
            raise ExpensiveRequestsBusy(price, self._soon()) from None
        finally:
            WAITING.dec()
            seconds = now() - began
            outcome.observe(seconds)
            costs.note_wait(seconds)
        return permit, permit.granted is not None

    def _end(self, release: Callable[[float], None], seconds: float) -> None:
        """Give a place that was held for some seconds to the next request, after a break."""
        if self._takes_breaks():
            asyncio.get_running_loop().call_later(seconds, release, seconds)
        else:
            release(seconds)

    def _takes_breaks(self) -> bool:
        return asyncio.get_running_loop().time() < self._cheap_until

    def _soon(self) -> timedelta:
        """Return when the requests that are ahead now will have run."""
        seconds = self._ahead / self._places * (2 if self._takes_breaks() else 1)
        return timedelta(seconds=min(max(seconds, SOONEST), LATEST))


class _Place:
    """A place that is held for some seconds at most, or until it is left before."""

    def __init__(self, end: Callable[[float], None], seconds: float) -> None:
        """`end` is called once, with the seconds for which the place was held."""
        self._end, self._left = end, False
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(seconds, self.leave)

    def leave(self) -> None:
        """End the place, unless that was done."""
        if not self._left:
            self._left = True
            self._timer.cancel()
            self._end(self._loop.time() - self._began)


def _patience(seconds: float) -> float:
    """Return the seconds that a request of this price may wait: until the rest of its deadline is
    just enough to run, and at least half of what is left."""
    left = deadlines.remaining()
    return WAIT_SECONDS if left is None else left - min(seconds, left / 2)
