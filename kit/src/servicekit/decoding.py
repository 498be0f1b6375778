"""Work on hostile input, in processes that may crash, hang, run out of memory or be taken over.

A crash of such a process fails only the item that it worked on; the service and the other items are
not affected. Its answer is bytes of the requested length (decoding_wire.py), and it can open no
file, no socket and no other process (confinement.py). It is meant for decoders written in C.

    DecodingRefused           the work rejects the item, with its reason
    DecodingFailed
    ├── DecodingCrashed       the decoder crashed on the item, or sent an invalid answer, twice
    ├── DecodingBroken        the work raised an unexpected exception
    ├── DecodingTimedOut      the item took too long
    ├── DecodingOutOfMemory   the item needs too much memory
    └── DecodingUnavailable   no process could be started: the item is not the cause

The SPARE memory of a process suffices for most photos. A photo that needs more, by its header,
takes the rest from the memory that all processes share: it waits for it, and is rejected if it
exceeds the total. The kernel limits each process to its share.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from dataclasses import dataclass
from typing import Any, Final, Self

from prometheus_client import Counter

from servicekit.confinement import LAYERS
from servicekit.decoding_fork import ForkServer, Link, address_space
from servicekit.decoding_limits import SPARE, DecodingBudget, DecodingSettings, memory_that_fits
from servicekit.decoding_wire import AnswerHeader, AnswerInvalid, DecodeStatus, ExpectedOutput, text
from servicekit.memory import container_limit
from servicekit.telemetry import get_logger

FAILURES = Counter(
    "sightline_decoding_failures",
    "Items on which a decoder crashed, timed out or ran out of memory.",
    ("kind",),
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
GRACE = 0.5
"""Seconds that work on an abandoned item may continue. Nearly all items end by then, which avoids a
restart."""
ANSWERS: Final = 16 * 2**20
"""Bytes reserved for the pixels of an answer."""

Outcome = tuple[tuple[Any, ...], bytes]
"""Facts of an item, as unpacked, and its pixels."""


class DecodingRefused(Exception):
    """The work rejects the item; the message is for people."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        """Reason, by the work's own numbers. Untrusted: a compromised process may send any
        number."""


class DecodingFailed(Exception):
    """The work on an item failed; the message is for people."""


class DecodingCrashed(DecodingFailed):
    """The item crashed the process, or the process sent an invalid answer."""


class DecodingBroken(DecodingFailed):
    """The work raised an unexpected exception."""


class DecodingTimedOut(DecodingFailed):
    """The item took too long."""


class DecodingOutOfMemory(DecodingFailed):
    """The item needed too much memory."""

    def __init__(self, size: int) -> None:
        super().__init__(f"it needs more than {size / 2**20:,.0f} MiB of memory to decode")


class DecodingUnavailable(DecodingFailed):
    """No process could be started; the item is not the cause."""


class _MemoryWanted(Exception):
    def __init__(self, size: int) -> None:
        self.size = size


@dataclass(slots=True)
class _Item:
    order: bytes
    photo: bytes
    answer: ExpectedOutput
    awaited: bool = True
    """True while a caller waits for the outcome."""


class Decoders:
    """A bounded pool of processes, each with one item at a time; for one event loop."""

    def __init__(
        self,
        work: str,
        processes: int = 2,
        *,
        seconds: float = 10.0,
        memory_bytes: int = 1536 * 2**20,
        photo_bytes: int = 10 * 2**20,
    ) -> None:
        """Create a pool whose processes run the module `work`, see decoding_process.py. No process
        is started yet. An item has up to `photo_bytes` and may take `seconds`; concurrent items
        share `memory_bytes`.
        """
        self._server = ForkServer(work, max(photo_bytes, ANSWERS))
        self._budget = DecodingBudget(memory_bytes)
        self._all = [_Process(self._server, seconds, memory_bytes) for _ in range(processes)]
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        for process in self._all:
            self._idle.put_nowait(process)
        self._running: set[asyncio.Task[Outcome]] = set()

    @classmethod
    def of(cls, settings: DecodingSettings, work: str, photo_bytes: int) -> Self:
        """Return the pool that settings ask for and the container's memory allows.

        Raises SystemExit if memory does not suffice for any.
        """
        return cls(
            work,
            settings.decode_processes,
            seconds=settings.decode_seconds,
            memory_bytes=memory_that_fits(settings, container_limit()),
            photo_bytes=photo_bytes,
        )

    @property
    def processes(self) -> int:
        """Number of items that are processed concurrently."""
        return len(self._all)

    async def start(self) -> None:
        """Start every process now, so that no item has to wait for it; log what confines them.

        Raises DecodingUnavailable.
        """
        await asyncio.gather(*(process.start() for process in self._all))
        held = self._all[0].held
        lacking = [layer for layer in LAYERS if layer not in held]
        log = get_logger().warning if lacking else get_logger().info
        log("decoders confined", processes=self.processes, held=held, lacking=lacking)

    async def run(self, order: bytes, photo: bytes, wanted: ExpectedOutput) -> Outcome:
        """Return facts and pixels of a photo for an order, as `wanted` describes them.

        Raises DecodingRefused and DecodingFailed. When its caller is cancelled, the item may go on
        for GRACE seconds.
        """
        try:
            return await self._in_enough_memory(_Item(order, photo, wanted))
        except DecodingFailed as error:
            kind = type(error).__name__
            FAILURES.labels(kind).inc()
            get_logger().warning("decoding failed", kind=kind, error=str(error))
            raise

    def close(self) -> None:
        """Kill the processes and cancel waiting items."""
        for working in self._running:
            working.cancel()
        for process in self._all:
            process.stop()
        self._server.close()

    async def _in_enough_memory(self, item: _Item) -> Outcome:
        memory = 0
        while True:
            try:
                async with self._budget.taken(memory):
                    return await self._turn(item, memory)
            except _MemoryWanted as more:
                memory = more.size
            except DecodingOutOfMemory:
                if memory == self._budget.size:
                    raise
                memory = self._budget.size  # its header indicated less
            if memory > self._budget.size:
                raise DecodingOutOfMemory(SPARE + self._budget.size)

    async def _turn(self, item: _Item, memory: int) -> Outcome:
        """Process an item in the next free process."""
        process = await self._idle.get()
        working = asyncio.create_task(self._work(process, item, memory))
        self._running.add(working)
        working.add_done_callback(self._done)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            item.awaited = False
            # From now on the memory belongs to another item.
            seconds = 0 if memory else GRACE
            asyncio.get_running_loop().call_later(seconds, _give_up, working, process)
            raise

    async def _work(self, process: _Process, item: _Item, memory: int) -> Outcome:
        try:
            try:
                return await process.run(item, memory)
            except DecodingCrashed:
                if not item.awaited:
                    raise
                # Another process may have killed it; an item that kills two is the cause.
            try:
                return await process.run(item, memory)
            except DecodingCrashed:
                await process.start()  # no process can run at all: the items are not the cause
                raise
        finally:
            self._idle.put_nowait(process)

    def _done(self, working: asyncio.Task[Outcome]) -> None:
        self._running.discard(working)
        if not working.cancelled():
            working.exception()  # the caller may have disconnected


def _failure(head: AnswerHeader, note: bytes, memory: int) -> Exception:
    """Map a decoder's answer to an error; `memory`: bytes that it had besides SPARE."""
    match head.status:
        case DecodeStatus.REFUSED:
            return DecodingRefused(head.code, text(note))
        case DecodeStatus.MEMORY_WANTED if head.size > SPARE and not memory:
            return _MemoryWanted(head.size - SPARE)
        case DecodeStatus.FAILED:
            return DecodingBroken(f"its decoder failed: {text(note)}")
    return DecodingOutOfMemory(SPARE + memory)


def _give_up(working: asyncio.Task[Outcome], process: _Process) -> None:
    if not working.done():
        process.kill()


class _Process:
    """One process, replaced when it dies."""

    def __init__(self, server: ForkServer, seconds: float, memory_bytes: int) -> None:
        self._server = server
        self._seconds = seconds
        self._memory = memory_bytes
        self._link: Link | None = None
        self._base = 0
        """Bytes of its address space at its start."""
        self._items = 0
        self.held: tuple[str, ...] = ()
        """Layers that confine it, as it reported before its first item."""

    async def start(self) -> Link:
        """Start the process if needed; return the link to it. Raises DecodingUnavailable."""
        if self._link is not None:
            return self._link
        try:
            async with asyncio.timeout(START_SECONDS):
                for _ in range(REVIVALS):
                    with contextlib.suppress(OSError, EOFError, AnswerInvalid):
                        return await self._start()
        except TimeoutError:
            raise DecodingUnavailable("no decoding process started in time") from None
        raise DecodingUnavailable("decoding processes exit at once")

    async def run(self, item: _Item, memory: int) -> Outcome:
        """Process one item with `memory` bytes besides SPARE.

        Raises as Decoders.run, and _MemoryWanted.
        """
        link = await self.start()
        if not item.awaited:
            raise DecodingCrashed("its caller disconnected")
        try:
            self._allow(link, memory)
            async with asyncio.timeout(self._seconds):
                head, note, pixels = await link.ask(
                    item.order, item.photo, SPARE + memory, item.answer
                )
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
        if self._items >= MOST_ITEMS or (memory and self._is_swollen(link)):
            self.stop()
        if head.status is DecodeStatus.DONE:
            return item.answer.facts.unpack(note), pixels
        failure = _failure(head, note, memory)
        if isinstance(failure, DecodingOutOfMemory):
            self.stop()  # its answer may be incomplete
        raise failure

    def kill(self) -> None:
        """Kill the process during an item, which ends as crashed."""
        if self._link is not None:
            self._link.kill()

    def stop(self) -> None:
        """Kill the process; the next item starts another one."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

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

    def _is_swollen(self, link: Link) -> bool:
        """Return whether the process kept more than SPARE: that memory belongs to all processes
        again."""
        return address_space(link.process) > self._base + SPARE
