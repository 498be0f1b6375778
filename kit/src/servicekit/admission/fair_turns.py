"""Fair sharing of threads among catalogs. A turn ends when its work in a thread ends.

Of the catalogs that wait, the one that has used the least time goes first (fair_permits.py).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from servicekit.admission.fair_permits import FairSemaphore, Party, Permit


class FairTurn:
    """One use of a thread. It ends once, in any thread."""

    def __init__(self, end: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self._end, self._loop = end, loop
        self._lock = threading.Lock()
        self._running = self._left = False

    def run_begins(self) -> bool:
        """Note in its thread that the work begins. False: the turn has ended, and it must not."""
        with self._lock:
            self._running = not self._left
            return self._running

    def run_ended(self) -> None:
        """Note in its thread that the work has ended."""
        with self._lock:
            self._running = False
            if not self._left:
                return
        with suppress(RuntimeError):  # the loop is closed, and with it all that wait
            self._loop.call_soon_threadsafe(self._end)

    def leave(self) -> None:
        """End the turn: at once, or when the work ends if it is still running."""
        with self._lock:
            self._left = True
            if self._running:
                return
        self._end()


class FairTurns:
    """Turns of several catalogs. Not for several event loops at a time."""

    def __init__(self, turns: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `turns` uses at a time, of which one catalog has `most`."""
        self._permits, self._clock = FairSemaphore(turns, most=most), clock

    async def take(self, catalog: str) -> FairTurn:
        """Wait for a turn of a catalog. End it with `leave`."""
        permit = await self._permits.acquire(Party("", catalog))
        end = partial(self._end, permit, self._clock())
        return FairTurn(end, asyncio.get_running_loop())

    def _end(self, permit: Permit, began: float) -> None:
        self._permits.release(permit, self._clock() - began)
