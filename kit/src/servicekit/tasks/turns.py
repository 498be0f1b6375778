"""One turn at a time, for calls of one event loop."""

import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servicekit.tasks.promise import Promise


class Turns:
    """One turn at a time: smaller urgencies go first, then what waits longest."""

    def __init__(self, most: int | None = None) -> None:
        """`most`: number of calls that wait, for work of which only the newest matters: older ones
        are dropped. None: all wait."""
        self._most, self._taken = most, False
        self._waiting: list[tuple[int, int, Promise[bool]]] = []
        self._numbers = itertools.count()

    @property
    def idle(self) -> bool:
        """True if no call has the turn or waits for it."""
        return not self._taken

    @asynccontextmanager
    async def turn(self, urgency: int = 0) -> AsyncIterator[bool]:
        """Run the block in a turn of its own. False: the call was dropped, and has no turn."""
        granted = await self.take(urgency)
        try:
            yield granted
        finally:
            if granted:
                self.give_back()

    async def take(self, urgency: int = 0) -> bool:
        """Wait for the turn; return it with `give_back`. False: the call was dropped, and has no
        turn."""
        if self._taken:
            return await self._wait(urgency, passing=False)
        self._taken = True
        return True

    async def pass_on(self, urgency: int) -> None:
        """Give the turn to work that is as urgent and waits longer, or more urgent, and wait for it
        again. Without such work it stays. If it raises, the turn is given back."""
        await self._wait(urgency, passing=True)

    def give_back(self) -> None:
        """Give the turn to the next call that still waits."""
        self._taken = False
        while self._waiting and not self._taken:
            self._taken = heapq.heappop(self._waiting)[2].keep(True)

    async def _wait(self, urgency: int, *, passing: bool) -> bool:
        mine = Promise[bool]()
        heapq.heappush(self._waiting, (urgency, next(self._numbers), mine))
        if passing:
            self.give_back()
        self._drop()
        try:
            return await mine.value()
        except BaseException:
            if mine.given:  # granted while this call was cancelled
                self.give_back()
            self._drop()
            raise

    def _drop(self) -> None:
        """Drop the calls that were cancelled, and the oldest of more than `most` others."""
        waiting = sorted(each for each in self._waiting if not each[2].over)
        kept = len(waiting) if self._most is None else self._most
        for _, _, older in waiting[: max(0, len(waiting) - kept)]:
            older.keep(False)
        self._waiting = waiting[max(0, len(waiting) - kept) :]
