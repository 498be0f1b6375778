"""Turns for work of which only the newest matters, such as frames of a camera."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servicekit.tasks.promise import Promise


class NewestTurns:
    """One turn at a time; the newest `most` calls wait for theirs, older ones are dropped. Not for
    several event loops."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = False
        self._waiting: deque[Promise[bool]] = deque()

    @property
    def idle(self) -> bool:
        """True if no call has the turn or waits for it."""
        return not self._taken

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Run the block in a turn of its own. False: the call was dropped, and has no turn."""
        if not await self._take():
            yield False
            return
        try:
            yield True
        finally:
            self._pass_on()

    async def _take(self) -> bool:
        if not self._taken:
            self._taken = True
            return True
        mine = Promise[bool]()
        self._waiting.append(mine)
        waiting = [each for each in self._waiting if not each.over]  # others were cancelled
        for each in waiting[: -self._most]:
            each.keep(False)
        self._waiting = deque(waiting[-self._most :])
        try:
            return await mine.value()
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            elif mine.given:  # granted while this call was cancelled
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the turn to the oldest call that still waits."""
        while self._waiting:
            if self._waiting.popleft().keep(True):
                return
        self._taken = False
