"""A TCP proxy before one gRPC server: it delays what passes, or cuts connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.relays import PIECE, Way, relay

PREFACE: Final = 24
"""Bytes with which a client's HTTP/2 begins."""
FRAME: Final = 9
"""Bytes before what a frame holds: 3 of its length, its type, flags and stream."""
HEADERS: Final = 1
"""The type of the frame with which each call begins (RFC 9113, 6.2)."""
CUT_SECONDS: Final = 0.02
"""Maximum seconds after the beginning of a call at which it is cut, before or during its answer."""


@dataclass(slots=True)
class Calls:
    """Counter of the calls that a client begins on one connection."""

    _seen: bytes = b""
    _next: int = PREFACE
    """Offset of the next frame in it."""

    def begun(self, data: bytes) -> int:
        """Return the number of calls that begin in these further bytes."""
        self._seen += data
        calls = 0
        while len(self._seen) >= self._next + FRAME:
            head = self._seen[self._next : self._next + FRAME]
            calls += head[3] == HEADERS
            self._next += FRAME + int.from_bytes(head[:3])
        passed = min(self._next, len(self._seen))
        self._seen, self._next = self._seen[passed:], self._next - passed
        return calls


@dataclass(slots=True)
class Wire:
    """Proxy between a caller and a server."""

    target: int
    """The server's port on this machine."""
    chance: random.Random
    delay: float = 0.0
    """Seconds by which whatever passes comes later, each way. A connection itself is made at
    once."""
    cut: float = 0.0
    """Share of calls within CUT_SECONDS of whose beginning their connection is cut, and with it
    all others that are under way on it."""
    calls: int = 0
    """Number of calls that began so far, retries included."""
    cuts: int = 0

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        """Accept connections during the block. Yield the port."""
        async with relay(self.target, self._ways, port) as given:
            yield given

    def _ways(self, cut: Callable[[], None]) -> tuple[Way, Way]:
        return partial(self._pass, seen=self._watching(cut)), partial(
            self._pass, seen=lambda _: None
        )

    def _watching(self, cut: Callable[[], None]) -> Callable[[bytes], None]:
        """Return a function that inspects a client's bytes and may cut its connection."""
        counting, loop = Calls(), asyncio.get_running_loop()

        def seen(data: bytes) -> None:
            begun = counting.begun(data)
            self.calls += begun
            for _ in range(begun):
                if self.chance.random() < self.cut:
                    self.cuts += 1
                    loop.call_later(self.chance.uniform(0.0, CUT_SECONDS), cut)

        return seen

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seen: Callable[[bytes], None],
    ) -> None:
        """Forward one direction in order, with the delay."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        reading = asyncio.create_task(self._read(reader, held, seen))
        try:
            while (due_and_data := await held.get())[1]:
                due, data = due_and_data
                await asyncio.sleep(due - time.monotonic())
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()

    async def _read(
        self,
        reader: asyncio.StreamReader,
        held: asyncio.Queue[tuple[float, bytes]],
        seen: Callable[[bytes], None],
    ) -> None:
        """Hand on data and the time at which it is due; empty data at the end."""
        data = b"-"
        while data:
            try:
                data = await reader.read(PIECE)
            except OSError:
                data = b""
            seen(data)
            held.put_nowait((time.monotonic() + self.delay, data))
