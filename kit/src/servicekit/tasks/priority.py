"""Priority semaphore: N permits, FIFO within a priority."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servicekit.telemetry import Stages

URGENT = 0
"""The priority that may use reserved permits; smaller values go first."""


class PrioritySemaphore:
    """Priority semaphore: N permits, FIFO within a priority."""

    def __init__(self, permits: int, reserved: int = 0) -> None:
        """Create a semaphore. All work that is not URGENT leaves `reserved` of the `permits` free,
        fewer than all."""
        if not 0 <= reserved < permits:
            raise ValueError("at least one permit has to be open to bulk work")
        self._free = permits
        self._reserved = reserved
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @asynccontextmanager
    async def hold(self, priority: int, stages: Stages, waiting: str) -> AsyncIterator[None]:
        """Hold a permit while the block runs. The wait is the stage `waiting`."""
        with stages.measure(waiting):
            await self.acquire(priority)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, priority: int) -> None:
        """Wait for a permit; return it with `release`."""
        if not self._waiting and self._may_start(priority):
            self._free -= 1
            return
        await self._wait(priority)

    async def pass_on(self, priority: int) -> None:
        """Return a permit to work that is as urgent and waits longer, or more urgent, and wait for
        a permit again. Without such work the permit stays. If it raises, no permit is held."""
        await self._wait(priority, free=1)

    async def _wait(self, priority: int, free: int = 0) -> None:
        """Wait for a permit behind earlier ones, after returning `free` permits."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (priority, next(self._numbers), granted)
        heapq.heappush(self._waiting, entry)
        self._free += free
        self._admit()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            elif entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def release(self) -> None:
        """Return a permit."""
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            priority, _, granted = self._waiting[0]
            gave_up = granted.done()  # cancelled, but its task has not run since
            if not gave_up and not self._may_start(priority):
                return
            heapq.heappop(self._waiting)
            if not gave_up:
                self._free -= 1
                granted.set_result(None)

    def _may_start(self, priority: int) -> bool:
        return self._free > (0 if priority <= URGENT else self._reserved)
