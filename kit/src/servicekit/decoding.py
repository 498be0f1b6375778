"""Work on hostile input, in processes that may crash, hang or run out of memory (extra `decoding`).

What such a process dies of costs the one item that it worked on; the service and the other items go
on. It is meant for decoders written in C. The processes are forked from a clean one that was
started for this (forkserver), never from the service, whose gRPC threads would not survive that.

    DecodingFailed
    ├── DecodingCrashed       the decoder died of the item, twice
    ├── DecodingTimedOut      the item took too long
    ├── DecodingOutOfMemory   the item needed too much memory
    └── DecodingUnavailable   no process could be had: says nothing of the item

A pebble pool of one process each keeps them apart: pools of several share pipes and locks, and one
bad death can spoil those for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool
from prometheus_client import Counter
from pydantic import Field

from servicekit.config import Settings
from servicekit.telemetry import get_logger

P = ParamSpec("P")
T = TypeVar("T")

FAILURES = Counter(
    "sightline_decoding_failures",
    "Items that a decoder crashed on, took too long for or ran out of memory with.",
    ("kind",),
)

START_SECONDS = 15.0
"""How long a process may take to begin with an item, on top of the item's own time."""
REVIVALS = 3
"""How often a process is started that dies before it has an item."""
MOST_ITEMS = 5_000
"""After so many items a process is replaced: what its libraries leak goes with it."""


class DecodingSettings(Settings):
    """What an operator may choose; a mixin of a service's settings."""

    decode_processes: int = Field(default=2, ge=1, le=64)
    """Processes that decode photos, one photo at a time each."""

    decode_seconds: float = Field(default=10.0, gt=0, le=300)
    """How long one photo may take to decode; above it the photo counts as undecodable."""

    decode_memory_bytes: int = Field(default=1536 * 2**20, ge=64 * 2**20, le=64 * 2**30)
    """Memory that one photo may take while it is decoded, on top of the process's own (Linux
    only). Formats without a smaller version inside need up to 28 bytes for each pixel."""


class DecodingFailed(Exception):
    """The work on an item did not end; the message is for people."""


class DecodingCrashed(DecodingFailed):
    """The process died of the item."""


class DecodingTimedOut(DecodingFailed):
    """The item took too long."""


class DecodingOutOfMemory(DecodingFailed):
    """The item needed too much memory."""


class DecodingUnavailable(DecodingFailed):
    """There is no process to work in, through no fault of the item's."""


class Decoders:
    """A bounded number of processes, each with one item at a time; for one event loop."""

    def __init__(
        self,
        processes: int = 2,
        *,
        seconds: float = 10.0,
        memory_bytes: int = 1536 * 2**20,
        preload: Sequence[str] = (),
    ) -> None:
        """An item may take `seconds` and `memory_bytes`. Nothing is started yet.

        `preload`: modules that the functions to be run need; imported once for all processes.
        """
        self._seconds = seconds
        self._memory = memory_bytes
        self._preload = list(preload)
        self._all = [_Process(seconds, memory_bytes) for _ in range(processes)]
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        for process in self._all:
            self._idle.put_nowait(process)
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Start every process now, so that no item has to wait for it.

        Raises DecodingUnavailable.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *self._preload])
        await asyncio.gather(*(self.run(_nothing) for _ in self._all))

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises, run in one of the processes when one is free.

        Function, arguments and result are pickled. Raises DecodingFailed. When the caller is
        cancelled, an item in progress goes on to its end: killing a process costs more than that.
        """
        process = await self._idle.get()
        working = asyncio.create_task(self._work(process, function, args, kwargs))
        self._running.add(working)
        working.add_done_callback(self._done)
        return await asyncio.shield(working)

    def close(self) -> None:
        """Kill the processes."""
        for process in self._all:
            process.stop()

    async def _work(
        self, process: _Process, function: Callable[..., T], args: Any, kwargs: Any
    ) -> T:
        try:
            try:
                return await process.run(function, args, kwargs)
            except DecodingCrashed:
                # Somebody else may have killed it; what kills two was no accident.
                await process.revive()
            try:
                return await process.run(function, args, kwargs)
            except DecodingCrashed:
                await process.revive()
                raise
        except DecodingFailed as error:
            FAILURES.labels(type(error).__name__).inc()
            get_logger().warning("decoding failed", kind=type(error).__name__)
            raise
        finally:
            self._idle.put_nowait(process)

    def _done(self, working: asyncio.Task[Any]) -> None:
        self._running.discard(working)
        if not working.cancelled():
            working.exception()  # whoever asked may be gone


class _Process:
    """One process, replaced when it dies."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        self._seconds = seconds
        self._memory = memory_bytes
        self._pool: ProcessPool | None = None

    async def run(self, function: Callable[..., T], args: Any, kwargs: Any) -> T:
        """One item. Raises DecodingFailed, and what `function` raises."""
        if self._pool is None:
            self._pool = _pool()
        work = (self._memory, self._seconds, function, args, kwargs)
        try:
            future = self._pool.schedule(_limited, args=work, timeout=self._seconds)
        except RuntimeError as error:
            self.stop()
            raise DecodingCrashed("the decoder died") from error
        result: asyncio.Future[T] = asyncio.wrap_future(future)
        done, _ = await asyncio.wait({result}, timeout=self._seconds + START_SECONDS)
        if not done:
            self.stop()
            raise DecodingUnavailable("no process began to decode in time")
        return self._outcome(result)

    async def revive(self) -> None:
        """Show that a new process lives. Raises DecodingUnavailable: then no item was to blame."""
        for _ in range(REVIVALS):
            with contextlib.suppress(DecodingFailed):
                return await self.run(_nothing, (), {})
        raise DecodingUnavailable("processes to decode in die at once")

    def stop(self) -> None:
        """Kill the process; the next item starts another one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            # Not waited for: a broken pool may never end.
            threading.Thread(target=_join, args=(pool,), daemon=True).start()

    def _outcome(self, result: asyncio.Future[T]) -> T:
        slow = f"it took longer than {self._seconds:g} s to decode"
        try:
            return result.result()
        except ProcessExpired as error:
            if error.exitcode == -signal.SIGXCPU:
                raise DecodingTimedOut(slow) from None
            raise DecodingCrashed("the decoder died of it") from None
        except (BrokenProcessPool, CancelledError, asyncio.CancelledError) as error:
            self.stop()
            raise DecodingCrashed("the decoder died") from error
        except TimeoutError:
            raise DecodingTimedOut(slow) from None
        except MemoryError:
            raise DecodingOutOfMemory(
                f"it needs more than {self._memory / 2**20:,.0f} MiB of memory to decode"
            ) from None


def _pool() -> ProcessPool:
    return ProcessPool(
        max_workers=1,
        max_tasks=MOST_ITEMS,
        initializer=_enter,
        context=multiprocessing.get_context("forkserver"),
    )


def _join(pool: ProcessPool) -> None:
    with contextlib.suppress(Exception):
        pool.join()


# In the process


def _nothing() -> None:
    """Shows that the process lives."""


def _enter() -> None:
    """Set a process up: it dies at once when told to, and leaves and says nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the photo
    # C libraries print what they please, and the service's output is its log.
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    os.close(silence)


def _limited(memory: int, seconds: float, function: Callable[..., T], args: Any, kwargs: Any) -> T:
    """Run one item. The limits hold for it only: what passes items on must never meet them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Only the end of a process whose service was killed while it hung; and of threads gone wild.
    most_seconds = int(usage.ru_utime + usage.ru_stime + 2 * seconds) + 2
    limits = {resource.RLIMIT_AS: _taken() + memory, resource.RLIMIT_CPU: most_seconds}
    before = {kind: resource.getrlimit(kind) for kind in limits}
    for kind, soft in limits.items():
        resource.setrlimit(kind, (soft, before[kind][1]))
    try:
        return function(*args, **kwargs)
    finally:
        for kind, limit in before.items():
            resource.setrlimit(kind, limit)


def _taken() -> int:
    """Bytes of address space that this process has now."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[0]) * resource.getpagesize()
