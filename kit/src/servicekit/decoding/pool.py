"""The processes that decode, each for the photos of one catalog: see
`servicekit.decoding.decoders`."""

from __future__ import annotations

import asyncio
import contextlib
import math
import resource
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any

from servicekit.decoding.errors import (
    DecodingBroken,
    DecodingCrashed,
    DecodingOutOfMemory,
    DecodingRefused,
    DecodingTimedOut,
    DecodingUnavailable,
)
from servicekit.decoding.fork_server import ForkServer, Link, address_space
from servicekit.decoding.limits import IDLE_SPARE, SPARE
from servicekit.decoding.wire import (
    AnswerHeader,
    AnswerInvalid,
    DecodeStatus,
    ExpectedOutput,
    MemoryWanted,
    text,
)

START_SECONDS = 60.0
"""How long a process may take to start.

It takes far less than a second, but minutes where a whole suite starts on few processors; giving up
too early would fail an item that can be decoded.
"""
REVIVALS = 3
"""Attempts to start a process that dies before it has an item."""
MOST_ITEMS = 5_000
"""Items after which a process is replaced, together with memory that libraries leaked."""


class DecodingProcess:
    """One process, replaced when it dies."""

    def __init__(self, server: ForkServer, seconds: float, memory_bytes: int) -> None:
        self.catalog: str | None = None
        """The catalog whose photos it decodes; None until it is taken for one."""
        self.seconds = 0.0
        """Processor time of its items, also of those of processes that it replaced. Of an item
        whose process is gone, the time on the clock."""
        self._server = server
        self._seconds = seconds
        self._memory = memory_bytes
        self._link: Link | None = None
        self._base = 0
        """Bytes of its address space at its start."""
        self._items = 0
        self._grown: int | None = None
        self._starting = asyncio.Lock()
        self.held: tuple[str, ...] = ()
        """Layers that confine it, as it reported before its first item."""

    async def start(self) -> Link:
        """Start the process if needed; return the link to it. Raises DecodingUnavailable."""
        if self._link is not None:
            return self._link
        try:
            async with asyncio.timeout(START_SECONDS), self._starting:
                if self._link is not None:
                    return self._link
                for _ in range(REVIVALS):
                    with contextlib.suppress(OSError, EOFError, AnswerInvalid):
                        return await self._start()
        except TimeoutError:
            raise DecodingUnavailable("no decoding process started in time") from None
        raise DecodingUnavailable("decoding processes exit at once")

    async def run(
        self, order: bytes, photo: bytes, wanted: ExpectedOutput, memory: int
    ) -> tuple[tuple[Any, ...], bytes]:
        """Process one item with `memory` bytes besides SPARE.

        Raises as Decoders.run, and MemoryWanted.
        """
        link, self._grown = await self.start(), None
        try:
            self._allow(link, memory)
            head, note, pixels = await self._answer(link, order, photo, wanted, memory)
            if memory:
                self._allow(link, 0)
        except TimeoutError:
            self.stop()
            slow = f"it took longer than {self._seconds:g} s to decode"
            raise DecodingTimedOut(slow) from None
        except (OSError, EOFError, AnswerInvalid):
            self.stop()
            raise DecodingCrashed("the decoder crashed on it") from None
        except BaseException:
            self.stop()
            raise
        self._items += 1
        if self._items >= MOST_ITEMS or (memory and self.grown() > SPARE):
            self.stop()  # memory beyond SPARE belongs to all processes again
        if head.status is DecodeStatus.DONE:
            return wanted.facts.unpack(note), pixels
        failure = _failure(head, note, memory)
        if isinstance(failure, DecodingOutOfMemory):
            self.stop()  # its answer may be incomplete
        raise failure

    def grown(self) -> int:
        """Return the bytes of address space that the idle process has beyond its size at the
        start."""
        if self._link is None:
            return 0
        if self._grown is None:
            self._grown = address_space(self._link.process) - self._base
        return self._grown

    def kill(self) -> None:
        """Kill the process during an item, which ends as crashed."""
        if self._link is not None:
            self._link.kill()

    def stop(self) -> None:
        """Kill the process; the next item starts another one."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def _answer(
        self, link: Link, order: bytes, photo: bytes, wanted: ExpectedOutput, memory: int
    ) -> tuple[AnswerHeader, bytes, bytes]:
        """Ask the process, and add the time that it takes. Raises as Link.ask, and TimeoutError."""
        began, used = time.monotonic(), _processor_seconds(link.process)
        try:
            async with asyncio.timeout(self._seconds):
                return await link.ask(order, photo, SPARE + memory, wanted)
        finally:
            spent = _processor_seconds(link.process) - used
            self.seconds += spent if spent >= 0 else time.monotonic() - began

    async def _start(self) -> Link:
        """Fork a process.

        Raises OSError, EOFError or AnswerInvalid if it dies before its greeting.
        """
        link = await self._server.fork()
        try:
            self.held = tuple((await link.greeting()).split())
            self._base = address_space(link.process)
            self._allow(link, 0)
        except BaseException:
            link.close()
            raise
        self._link, self._items = link, 0
        return link

    def _allow(self, link: Link, memory: int) -> None:
        """Set the kernel's limit of the process's memory."""
        if self._base:
            least = self._base + SPARE
            limits = (least + memory, least + self._memory)
            resource.prlimit(link.process, resource.RLIMIT_AS, limits)


class ProcessPool:
    """The processes: those that work, and idle ones that wait for photos of their catalogs.

    Those that work or have grown by more than IDLE_SPARE are never more than can work at once, so
    that the memory of the others is bounded. The least recently used process goes first.
    """

    def __init__(self, make: Callable[[], DecodingProcess], working: int, idle: int) -> None:
        """Hold up to `working` processes, and up to `idle` others."""
        self._make, self._most_working, self._most = make, working, working + idle
        self._working: list[DecodingProcess] = []
        self._idle: list[DecodingProcess] = []
        """The most recently used one last."""
        self._catalogs: set[str] = set()
        self._starting: set[asyncio.Task[None]] = set()

    @property
    def all(self) -> list[DecodingProcess]:
        """All processes."""
        return [*self._working, *self._idle]

    async def start(self) -> tuple[str, ...]:
        """Start as many as can work at once; return the layers that confine them.

        Raises DecodingUnavailable.
        """
        self._idle += [self._make() for _ in range(self._most_working - len(self.all))]
        await asyncio.gather(*(process.start() for process in self._idle))
        return self._idle[-1].held

    def take(self, catalog: str) -> DecodingProcess:
        """Return a process for a photo of a catalog: one that has seen no photo of another."""
        process = next((each for each in reversed(self._idle) if each.catalog == catalog), None)
        if process is None:
            process = next((each for each in self._idle if each.catalog is None), None)
        if process is None:
            process = self._make()
        else:
            self._idle.remove(process)
        self._working.append(process)
        if process.catalog is None:
            process.catalog = catalog
            self._catalogs.add(catalog)
        self._evict()
        self._prepare()
        return process

    def give(self, process: DecodingProcess) -> None:
        """Take a process back."""
        self._working.remove(process)
        self._idle.append(process)
        self._evict()

    def close(self) -> None:
        """Kill all processes."""
        for starting in self._starting:
            starting.cancel()
        for process in self.all:
            process.stop()

    def _prepare(self) -> None:
        """Start a process for the next catalog, while others have photos too."""
        if len(self._catalogs) < 2 or any(each.catalog is None for each in self._idle):
            return
        if self._idle or len(self.all) < self._most:  # else it would be evicted at once
            process = self._make()
            self._idle.append(process)
            self._evict()
            self._starting.add(
                starting := asyncio.create_task(_started(process), context=Context())
            )
            starting.add_done_callback(self._starting.discard)

    def _evict(self) -> None:
        """Kill idle processes that are too many, or too large beside those that work."""
        while len(self.all) > self._most and self._idle:
            self._idle.pop(0).stop()
        if len(self.all) <= self._most_working:
            return
        large = [process for process in self._idle if process.grown() > IDLE_SPARE]
        for process in large[: max(0, len(self._working) + len(large) - self._most_working)]:
            self._idle.remove(process)
            process.stop()


async def _started(process: DecodingProcess) -> None:
    with contextlib.suppress(DecodingUnavailable):  # the item that takes it will say so
        await process.start()


def _processor_seconds(process: int) -> float:
    """Return the processor time of a process so far, by the kernel; NaN if it is gone."""
    clock = ~process << 3 | 2  # CPUCLOCK_SCHED, as clock_getcpuclockid(3) has it
    try:
        return time.clock_gettime(clock)
    except OSError:
        return math.nan


def _failure(head: AnswerHeader, note: bytes, memory: int) -> Exception:
    """Map a decoder's answer to an error; `memory`: bytes that it had besides SPARE."""
    match head.status:
        case DecodeStatus.REFUSED:
            return DecodingRefused(head.code, text(note))
        case DecodeStatus.MEMORY_WANTED if head.size > SPARE and not memory:
            return MemoryWanted(head.size - SPARE)
        case DecodeStatus.FAILED:
            return DecodingBroken(f"its decoder failed: {text(note)}")
    return DecodingOutOfMemory(SPARE + memory)
