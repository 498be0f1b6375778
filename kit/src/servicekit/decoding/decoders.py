"""Work on hostile input, in processes that may crash, hang, run out of memory or be taken over.

A crash of such a process fails only the item that it worked on; the service and the other items are
not affected. Its answer is bytes of the requested length (wire.py), and it can open no
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

Callers and catalogs take turns by the processor time that their items took (fair_permits.py), which
the kernel measures. A process works for one catalog only (pool.py): one that was taken
over by a photo learns nothing of another catalog's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Self

from prometheus_client import Counter

from servicekit.admission import costs
from servicekit.admission.fair_permits import FairSemaphore, Party, Permit
from servicekit.decoding.confinement import LAYERS
from servicekit.decoding.errors import (
    DecodingBroken,
    DecodingCrashed,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingRefused,
    DecodingTimedOut,
    DecodingUnavailable,
)
from servicekit.decoding.fork_server import ForkServer
from servicekit.decoding.limits import SPARE, DecodingSettings, memory_that_fits
from servicekit.decoding.pool import DecodingProcess, ProcessPool
from servicekit.decoding.wire import ExpectedOutput, MemoryWanted
from servicekit.processes.memory import container_limit
from servicekit.telemetry import Stages, get_logger

__all__ = [
    "DecodingBroken",
    "DecodingCrashed",
    "DecodingFailed",
    "DecodingOutOfMemory",
    "DecodingRefused",
    "DecodingTimedOut",
    "DecodingUnavailable",
]

FAILURES = Counter(
    "sightline_decoding_failures",
    "Items on which a decoder crashed, timed out or ran out of memory.",
    ("kind",),
)

GRACE = 0.5
"""Seconds that work on an abandoned item may continue. Nearly all items end by then, which avoids a
restart."""
ANSWERS: Final = 16 * 2**20
"""Bytes reserved for the pixels of an answer."""

Outcome = tuple[tuple[Any, ...], bytes]
"""Facts of an item, as unpacked, and its pixels."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whom an item is for, and how urgent it is."""

    party: Party
    urgency: int = 0
    """Smaller values go first."""
    stages: Stages | None = None
    """Where the stages `intake_queue` and `intake`, and the processor time, are recorded."""

    def measure(self, stage: str) -> AbstractContextManager[None]:
        """Time the body as a stage."""
        return contextlib.nullcontext() if self.stages is None else self.stages.measure(stage)


@dataclass(slots=True)
class _Item:
    order: bytes
    photo: bytes
    answer: ExpectedOutput
    turn: Turn
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
        idle: int = 4,
    ) -> None:
        """Create a pool whose processes run the module `work`, see process.py. No process
        is started yet. An item has up to `photo_bytes` and may take `seconds`; concurrent items
        share `memory_bytes`. Up to `idle` processes wait for further photos of their catalogs.
        """
        self.processes = processes
        """Number of items that are processed concurrently."""
        self._server = ForkServer(work, max(photo_bytes, ANSWERS))
        self._turns = FairSemaphore(processes, memory=memory_bytes)
        self._pool = ProcessPool(
            lambda: DecodingProcess(self._server, seconds, memory_bytes), processes, idle
        )
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
            idle=settings.decode_idle_processes,
        )

    async def start(self) -> None:
        """Start every process now, so that no item has to wait for it; log what confines them.

        Raises DecodingUnavailable.
        """
        held = await self._pool.start()
        lacking = [layer for layer in LAYERS if layer not in held]
        log = get_logger().warning if lacking else get_logger().info
        log("decoders confined", processes=self.processes, held=held, lacking=lacking)

    async def run(self, order: bytes, photo: bytes, wanted: ExpectedOutput, turn: Turn) -> Outcome:
        """Return facts and pixels of a photo for an order, as `wanted` describes them.

        The processor time is charged to the party of `turn`, and is part of the call's cost. Raises
        DecodingRefused and DecodingFailed. When its caller is cancelled, the item may go on for
        GRACE seconds.
        """
        try:
            return await self._in_enough_memory(_Item(order, photo, wanted, turn))
        except DecodingFailed as error:
            kind = type(error).__name__
            FAILURES.labels(kind).inc()
            get_logger().warning("decoding failed", kind=kind, error=str(error))
            raise

    def close(self) -> None:
        """Kill the processes and cancel waiting items."""
        for working in self._running:
            working.cancel()
        self._pool.close()
        self._server.close()

    async def _in_enough_memory(self, item: _Item) -> Outcome:
        memory, total = 0, self._turns.memory
        while True:
            try:
                return await self._turn(item, memory)
            except MemoryWanted as more:
                memory = more.size
            except DecodingOutOfMemory:
                if memory == total:
                    raise
                memory = total  # its header indicated less
            if memory > total:
                raise DecodingOutOfMemory(SPARE + total)

    async def _turn(self, item: _Item, memory: int) -> Outcome:
        """Process an item when it is its party's turn."""
        turn = item.turn
        with turn.measure("intake_queue"):
            permit = await self._turns.acquire(turn.party, turn.urgency, memory)
        process = self._pool.take(turn.party.catalog)
        working = asyncio.create_task(self._work(process, item, permit))
        self._running.add(working)
        working.add_done_callback(self._done)
        try:
            with turn.measure("intake"):
                return await asyncio.shield(working)
        except asyncio.CancelledError:
            item.awaited = False
            # Much memory is wanted back at once.
            seconds = 0 if memory else GRACE
            asyncio.get_running_loop().call_later(seconds, _give_up, working, process)
            raise

    async def _work(self, process: DecodingProcess, item: _Item, permit: Permit) -> Outcome:
        with self._charged(process, item.turn, permit):
            try:
                return await self._ask(process, item, permit.memory)
            except DecodingCrashed:
                if not item.awaited:
                    raise
                # Another process may have killed it; an item that kills two is the cause.
            try:
                return await self._ask(process, item, permit.memory)
            except DecodingCrashed:
                await process.start()  # no process can run at all: the items are not the cause
                raise

    async def _ask(self, process: DecodingProcess, item: _Item, memory: int) -> Outcome:
        await process.start()
        if not item.awaited:
            raise DecodingCrashed("its caller disconnected")
        return await process.run(item.order, item.photo, item.answer, memory)

    @contextlib.contextmanager
    def _charged(self, process: DecodingProcess, turn: Turn, permit: Permit) -> Iterator[None]:
        """Charge the processor time of the body, and give process and permit back."""
        before = process.seconds
        try:
            yield
        finally:
            spent = process.seconds - before
            if turn.stages is not None:
                turn.stages.decoding_seconds += spent
            costs.add(spent)
            self._pool.give(process)
            self._turns.release(permit, spent)

    def _done(self, working: asyncio.Task[Outcome]) -> None:
        self._running.discard(working)
        if not working.cancelled():
            working.exception()  # the caller may have disconnected


def _give_up(working: asyncio.Task[Outcome], process: DecodingProcess) -> None:
    if not working.done():
        process.kill()
