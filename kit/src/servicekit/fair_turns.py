"""Fair turns: a bounded number of uses of a shared resource, divided among parties by time.

Of the parties that wait, the one that has used the least time goes first, so a party with much or
long work delays others by one use, not by its queue (start-time fair queueing, Goyal et al. 1996,
doi:10.1145/248156.248171). A party that was idle starts at the least time of the others: it saves
nothing up.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextlib import suppress


class FairTurn:
    """One use of the resource. It ends once, in any thread."""

    def __init__(
        self, end: Callable[["FairTurn"], None], party: Hashable, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.party, self.began = party, 0.0
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
            self._loop.call_soon_threadsafe(self._end, self)

    def leave(self) -> None:
        """End the turn: at once, or when the work ends if it is still running."""
        with self._lock:
            self._left = True
            if self._running:
                return
        self._end(self)


class FairTurns:
    """Turns of several parties. Not for several event loops at a time."""

    def __init__(self, turns: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `turns` uses at a time, of which one party has `most`."""
        self._free, self._most, self._clock = turns, most, clock
        self._held: Counter[Hashable] = Counter()
        self._used: dict[Hashable, float] = {}
        """Seconds of the parties that hold or wait."""
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def take(self, party: Hashable) -> FairTurn:
        """Wait for a turn of a party. End it with `leave`."""
        turn = FairTurn(self._end, party, asyncio.get_running_loop())
        self._used.setdefault(party, min(self._used.values(), default=0.0))
        if self._waiting or not self._may_start(party):
            await self._wait(party)
        else:
            self._start(party)
        turn.began = self._clock()
        return turn

    async def _wait(self, party: Hashable) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append(granted)
        self._admit()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._stop(party)
            raise

    def _admit(self) -> None:
        while self._free and (ready := [each for each in self._waiting if self._may_start(each)]):
            party = min(ready, key=self._used.__getitem__)
            line = self._waiting[party]
            granted = line.popleft()
            if not line:
                del self._waiting[party]
            if not granted.done():
                self._start(party)
                granted.set_result(None)
            else:  # cancelled: it has given up
                self._forget(party)

    def _may_start(self, party: Hashable) -> bool:
        return self._free > 0 and self._held[party] < self._most

    def _start(self, party: Hashable) -> None:
        self._free -= 1
        self._held[party] += 1

    def _end(self, turn: FairTurn) -> None:
        self._used[turn.party] += self._clock() - turn.began
        self._stop(turn.party)

    def _stop(self, party: Hashable) -> None:
        self._free += 1
        self._held[party] -= 1
        self._forget(party)
        self._admit()

    def _forget(self, party: Hashable) -> None:
        """Forget the time of a party that neither holds nor waits."""
        if not self._held[party]:
            del self._held[party]
            if party not in self._waiting:
                del self._used[party]
