"""The room that a process has: for bytes of requests, for answers that are not read yet, and for
streams. Nobody takes all of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from prometheus_client import Gauge

from servicekit.errors import ResourceExhausted

PATIENCE = 1.0
"""Seconds that a call waits for room for its request."""
CALL_BYTES = 2**14
"""What a call takes beside its answer: so many short answers that nobody reads count too."""


class BytesExhausted(ResourceExhausted, reason="BYTES_EXHAUSTED"):
    """This process holds as many bytes of requests, or of answers, as it may."""

    message = "too many bytes of requests, or of unread answers, are held: come again in a moment"
    retry_after = timedelta(seconds=1)


class StreamsExhausted(ResourceExhausted, reason="STREAMS_EXHAUSTED"):
    """There are as many streams as there may be, on this connection or in all."""

    message = "too many streams are open: end some, or come again later"
    retry_after = timedelta(seconds=10)


class Bytes:
    """The bytes of requests that a process holds. A caller has half of the room at most: one that
    sends slowly, and so holds what may still come, keeps nobody else out."""

    def __init__(self, most: int) -> None:
        self.each = most // 2
        """That one caller may hold."""
        self.free = most
        self._held: Counter[str] = Counter()
        self._waiting: list[tuple[str, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def room(self, caller: str, size: int) -> AsyncIterator[None]:
        """Room for so many meanwhile. Raises BytesExhausted."""
        await self.take(caller, size)
        try:
            yield
        finally:
            self.give(caller, size)

    async def take(self, caller: str, size: int) -> None:
        """Have room for so many, at most `each`. Raises BytesExhausted after PATIENCE."""
        if not self._waiting and self._has_room(caller, size):
            self._hold(caller, size)
            return
        place = asyncio.get_running_loop().create_future()
        waiting = caller, size, place
        self._waiting.append(waiting)
        self._wake()
        try:
            async with asyncio.timeout(PATIENCE):
                await place
        except BaseException as error:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:  # it came while this call was given up
                self.give(caller, size)
            if isinstance(error, TimeoutError):
                raise BytesExhausted from None
            raise

    def give(self, caller: str, size: int) -> None:
        """Have room for others."""
        self._hold(caller, -size)
        if not self._held[caller]:
            del self._held[caller]
        self._wake()

    def _has_room(self, caller: str, size: int) -> bool:
        return size <= self.free and self._held[caller] + size <= self.each

    def _hold(self, caller: str, size: int) -> None:
        self.free -= size
        self._held[caller] += size

    def _wake(self) -> None:
        """Let in who waits and has room, the first of them first."""
        for waiting in [*self._waiting]:
            caller, size, place = waiting
            if not place.done() and self._has_room(caller, size):
                self._hold(caller, size)
                self._waiting.remove(waiting)
                place.set_result(None)


class Unread:
    """The bytes of answers that are on their way: gRPC holds them until they are read. Who reads
    too slowly begins no further calls, and so keeps nobody else out."""

    def __init__(self, most: int) -> None:
        self.free = most
        self._each = most // 2
        self._held: Counter[str] = Counter()

    def check(self, caller: str) -> None:
        """Raises BytesExhausted while half of the room is a caller's, or none is left."""
        if self._held[caller] >= self._each or self.free <= 0:
            raise BytesExhausted

    def hold(self, caller: str, size: int, context: Any) -> None:
        """Count an answer until its call is over."""
        self._count(caller, size + CALL_BYTES)
        context.add_done_callback(lambda _: self._count(caller, -size - CALL_BYTES))

    def _count(self, caller: str, change: int) -> None:
        self.free -= change
        self._held[caller] += change
        if not self._held[caller]:
            del self._held[caller]


class Streams:
    """The streams of a process, by connection."""

    def __init__(self, most: int, most_each: int, gauge: Gauge) -> None:
        self._most, self._most_each, self._gauge = most, most_each, gauge
        self._total = 0
        self._each: Counter[str] = Counter()

    @contextmanager
    def place(self, connection: str) -> Iterator[None]:
        """A place for one. Raises StreamsExhausted."""
        if self._total >= self._most or self._each[connection] >= self._most_each:
            raise StreamsExhausted
        self._count(connection, 1)
        try:
            yield
        finally:
            self._count(connection, -1)
            if not self._each[connection]:
                del self._each[connection]

    def _count(self, connection: str, change: int) -> None:
        self._total += change
        self._each[connection] += change
        self._gauge.set(self._total)
