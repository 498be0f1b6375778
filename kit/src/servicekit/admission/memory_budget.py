"""Budgets of one process: bytes of requests, bytes of unread answers, health checks that have not
arrived, and streams.

A caller may hold at most half of the bytes and of the streams.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prometheus_client import Gauge

from servicekit.errors import Refusal, ResourceExhausted

PATIENCE = 1.0
"""Seconds that a call waits for bytes of its request."""
CALL_BYTES = 2**14
"""Bytes counted for a call beside its answer, so that many short unread answers count too."""
SOON = 0.02
"""Seconds in which a health check has to arrive while many others are being read."""


class BytesExhausted(Refusal, ResourceExhausted, reason="BYTES_EXHAUSTED"):
    """The budget of bytes of requests, or of unread answers, is used up."""

    message = "too many bytes of requests, or of unread answers, are held: retry in a moment"
    retry_after = timedelta(seconds=1)


class StreamsExhausted(Refusal, ResourceExhausted, reason="STREAMS_EXHAUSTED"):
    """The limit of streams is reached, of the caller or of all, on this connection or in all."""

    message = "too many streams are open: end some, or retry later"
    retry_after = timedelta(seconds=10)


class ByteBudget:
    """Budget of the bytes of requests that a process holds.

    A caller may hold at most half of it: a slow sender, which holds its bytes for long, does not
    block other callers.
    """

    def __init__(self, most: int) -> None:
        self.each = most // 2
        """Bytes that one caller may hold."""
        self.free = most
        self._held: dict[str, int] = {}
        self._waiting: list[tuple[str, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def reserve(self, caller: str, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes while the block runs. Raises BytesExhausted."""
        await self.acquire(caller, size)
        try:
            yield
        finally:
            self.release(caller, size)

    async def acquire(self, caller: str, size: int, patience: float | None = PATIENCE) -> None:
        """Hold `size` bytes, at most `each`. Raises BytesExhausted after `patience` seconds; None:
        never."""
        if self.taken(caller, size):
            return
        granted = asyncio.get_running_loop().create_future()
        waiting = caller, size, granted
        self._waiting.append(waiting)
        self._wake()
        try:
            async with asyncio.timeout(patience):
                await granted
        except BaseException as error:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:  # granted while this call was cancelled
                self.release(caller, size)
            if isinstance(error, TimeoutError):
                raise BytesExhausted from None
            raise

    def taken(self, caller: str, size: int) -> bool:
        """Hold `size` bytes, at most `each`, if they are free now; return whether they were."""
        if self._waiting or not self._fits(caller, size):
            return False
        self._hold(caller, size)
        return True

    def release(self, caller: str, size: int) -> None:
        """Return `size` bytes."""
        self._hold(caller, -size)
        if self._waiting:
            self._wake()

    def _fits(self, caller: str, size: int) -> bool:
        return size <= self.free and self._held.get(caller, 0) + size <= self.each

    def _hold(self, caller: str, size: int) -> None:
        self.free -= size
        if held := self._held.get(caller, 0) + size:  # a Counter would take longer
            self._held[caller] = held
        else:
            self._held.pop(caller, None)

    def _wake(self) -> None:
        """Grant waiting requests that fit now, in order of arrival."""
        for waiting in [*self._waiting]:
            caller, size, granted = waiting
            if not granted.done() and self._fits(caller, size):
                self._hold(caller, size)
                self._waiting.remove(waiting)
                granted.set_result(None)


class ArrivingBytes:
    """Bytes of one request that are held as they arrive."""

    __slots__ = ("_budget", "caller", "size")

    def __init__(self, budget: ByteBudget, caller: str = "") -> None:
        """`caller` may be set later, before the first bytes."""
        self._budget, self.caller, self.size = budget, caller, 0

    async def add(self, size: int) -> None:
        """Hold `size` more bytes. Raises BytesExhausted."""
        if size > self._budget.each:
            raise BytesExhausted
        await self._budget.acquire(self.caller, size)
        self.size += size

    def release(self) -> None:
        """Return all of them."""
        self._budget.release(self.caller, self.size)
        self.size = 0


@dataclass(slots=True)
class HeldBytes:
    """Bytes that a call holds beside its request."""

    size: int
    budget: ByteBudget | None
    caller: str = ""

    def shrink(self, size: int) -> None:
        """Return all but `size` bytes, at most those that are held."""
        if self.budget is not None and size < self.size:
            self.budget.release(self.caller, self.size - size)
            self.size = size


in_flight: ContextVar[tuple[ByteBudget, str] | None] = ContextVar("in_flight", default=None)
"""Budget of the bytes of requests of the current call's server, and the call's caller; `None`
outside of calls."""


async def hold(size: int) -> HeldBytes:
    """Count bytes as those of the current call's request until they are returned (`shrink`).

    Waits for them, at most half of the budget, for as long as the caller does.
    """
    if (found := in_flight.get()) is None:
        return HeldBytes(size, None)
    budget, caller = found
    held = HeldBytes(min(size, budget.each), budget, caller)
    await budget.acquire(caller, held.size, patience=None)
    return held


@asynccontextmanager
async def holding(size: int) -> AsyncIterator[HeldBytes]:
    """Count bytes as `hold` does while the block runs."""
    held = await hold(size)
    try:
        yield held
    finally:
        held.shrink(0)


class UnreadAnswers(ByteBudget):
    """Budget of the bytes of answers that gRPC holds until the caller reads them.

    A caller that reads too slowly can start no further calls, and does not block others.
    """

    def check(self, caller: str) -> None:
        """Raise BytesExhausted while a caller holds half of the budget, or none is left."""
        if self._held.get(caller, 0) >= self.each or self.free <= 0:
            raise BytesExhausted

    def hold(self, caller: str, size: int, context: Any) -> None:
        """Count the bytes of an answer until its call is over."""
        size += CALL_BYTES
        self._hold(caller, size)
        context.add_done_callback(lambda _: self.release(caller, size))


class HealthReads:
    """Time limits of the health checks that a port reads.

    Their callers are unauthenticated, and gRPC reads a message of any accepted size. So only the
    newest checks have long to arrive: the memory of the others is limited to what arrives within
    SOON seconds. None is rejected because of others: the message of a real check comes with its
    headers.
    """

    def __init__(self, most: int, seconds: float) -> None:
        """`most` checks have `seconds` to arrive."""
        self._most, self._seconds = most, seconds
        self._unhurried: dict[asyncio.Timeout, float] = {}
        """Limits that have not been shortened, oldest first, with the times to shorten them to."""

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Limit the time of the block, which reads one check. Raises TimeoutError."""
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(self._seconds) as limit:
            self._unhurried[limit] = now() + SOON
            if len(self._unhurried) > self._most:
                oldest = next(iter(self._unhurried))
                oldest.reschedule(max(now(), self._unhurried.pop(oldest)))
            try:
                yield
            finally:
                self._unhurried.pop(limit, None)


class StreamSlots:
    """Limit of the streams of a process and of each of its connections.

    A caller may have at most half of either: others share its connection where it is the gateway's.
    """

    def __init__(self, most: int, most_each: int, gauge: Gauge) -> None:
        self._most, self._most_each, self._gauge = most, most_each, gauge
        self._open: Counter[tuple[str, str]] = Counter()
        """Open streams by connection and caller; an empty name stands for all."""

    @contextmanager
    def count(self, connection: str, caller: str) -> Iterator[None]:
        """Count a stream while the block runs. `connection`: empty if it has no limit of its own.

        Raises StreamsExhausted.
        """
        limits = {("", ""): self._most, ("", caller): _half(self._most)}
        if connection:
            limits[connection, ""] = self._most_each
            limits[connection, caller] = _half(self._most_each)
        if any(self._open[counted] >= most for counted, most in limits.items()):
            raise StreamsExhausted
        self._count(limits, 1)
        try:
            yield
        finally:
            self._count(limits, -1)

    def _count(self, counted: Iterable[tuple[str, str]], change: int) -> None:
        for each in counted:
            self._open[each] += change
            if not self._open[each]:
                del self._open[each]
        self._gauge.set(self._open["", ""])


def _half(most: int) -> int:
    return (most + 1) // 2
