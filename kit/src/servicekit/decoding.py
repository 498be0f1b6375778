"""Work on hostile input, in processes that may crash, hang or run out of memory.

What such a process dies of costs the one item that it worked on; the service and the other items go
on. It is meant for decoders written in C. The processes are forked from a clean one that was
started for this (forkserver), never from the service, whose gRPC threads would not survive that.

    DecodingFailed
    ├── DecodingCrashed       the decoder died of the item, twice
    ├── DecodingTimedOut      the item took too long
    ├── DecodingOutOfMemory   the item needed too much memory
    └── DecodingUnavailable   no process could be had: says nothing of the item

Each process hangs on a socket of its own, on which one item goes there and its result comes back:
there are no locks, threads or pipes to share that a bad death could spoil for the others. What fits
lies in memory that the two share meanwhile, and only its length crosses the socket: in pieces of
200 KB a large photo would wake both sides a dozen times.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import pickle
import signal
import socket
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

from prometheus_client import Counter
from pydantic import Field

from servicekit.config import Settings
from servicekit.decoding_process import Link, serve, shared
from servicekit.telemetry import get_logger

P = ParamSpec("P")
T = TypeVar("T")

FAILURES = Counter(
    "sightline_decoding_failures",
    "Items that a decoder crashed on, took too long for or ran out of memory with.",
    ("kind",),
)

START_SECONDS = 60.0
"""How long a process may take to start. It takes far less than a second, but where a whole suite
starts on few processors, minutes of their time are wanted at once; and who gives a process up too
early fails an item that it would have done."""
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

    @property
    def processes(self) -> int:
        """How many items are worked on at once."""
        return len(self._all)

    async def start(self) -> None:
        """Start every process now, so that no item has to wait for it.

        Raises DecodingUnavailable.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *self._preload])
        await asyncio.gather(*(process.start() for process in self._all))

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
        """Kill the processes, and whatever waits for them."""
        for working in self._running:
            working.cancel()
        for process in self._all:
            process.stop()

    async def _work(
        self, process: _Process, function: Callable[..., T], args: Any, kwargs: Any
    ) -> T:
        try:
            try:
                return await process.run(function, args, kwargs)
            except DecodingCrashed:
                pass  # Somebody else may have killed it; what kills two was no accident.
            try:
                return await process.run(function, args, kwargs)
            except DecodingCrashed:
                await process.start()  # none can live at all: then no item was to blame
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
        self._process: BaseProcess | None = None
        self._link: Link | None = None
        self._items = 0

    async def start(self) -> Link:
        """Have a process, and the link to it. Raises DecodingUnavailable."""
        if self._link is not None:
            return self._link
        for _ in range(REVIVALS):
            with contextlib.suppress(OSError, EOFError):
                return await self._start()
        raise DecodingUnavailable("processes to decode in die at once")

    async def run(self, function: Callable[..., T], args: Any, kwargs: Any) -> T:
        """One item. Raises DecodingFailed, and what `function` raises."""
        item = pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL)
        answer = await self._answer(await self.start(), item)
        error, result = pickle.loads(answer)  # noqa: S301 - from a process of our own
        self._items += 1
        if self._items >= MOST_ITEMS:
            self.stop()
        if isinstance(error, MemoryError):
            raise DecodingOutOfMemory(
                f"it needs more than {self._memory / 2**20:,.0f} MiB of memory to decode"
            )
        if error is not None:
            raise error
        value: T = result
        return value

    def stop(self) -> None:
        """Kill the process; the next item starts another one."""
        link, self._link = self._link, None
        process, self._process = self._process, None
        if link is not None:
            link.socket.close()
        if process is not None and process.is_alive():
            process.kill()

    async def _start(self) -> Link:
        """Raises OSError or EOFError when it dies before it greets, or DecodingUnavailable."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        link = Link(ours, shared(ours))
        process = multiprocessing.get_context("forkserver").Process(
            target=serve, args=(theirs, self._memory, self._seconds), daemon=True
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                with theirs:
                    await asyncio.to_thread(process.start)
                await link.received()
        except BaseException as error:
            ours.close()  # a process that comes late finds that and leaves
            if isinstance(error, TimeoutError):
                raise DecodingUnavailable("no process began to decode in time") from None
            raise
        self._process, self._link, self._items = process, link, 0
        return link

    async def _answer(self, link: Link, item: bytes) -> memoryview:
        """What the process makes of an item; to be read before it gets another one.

        Raises DecodingCrashed or DecodingTimedOut.
        """
        slow = f"it took longer than {self._seconds:g} s to decode"
        try:
            async with asyncio.timeout(self._seconds):
                await link.send(item)
                return await link.received()
        except TimeoutError:
            self.stop()
            raise DecodingTimedOut(slow) from None
        except (OSError, EOFError):
            if await self._ended() == -signal.SIGXCPU:
                raise DecodingTimedOut(slow) from None
            raise DecodingCrashed("the decoder died of it") from None
        except BaseException:
            self.stop()
            raise

    async def _ended(self) -> int | None:
        """The exit code of a process that hung up."""
        process = self._process
        try:
            if process is not None:
                await asyncio.to_thread(process.join, 1)
            return None if process is None else process.exitcode
        finally:
            self.stop()
