"""Whether the loops of a process go on, which a liveness probe asks for: `/live`, beside metrics.

These are served by a thread of their own, which answers also while the event loop stands still or a
loop waits for something that never comes. A loop says when it is heard of again at the latest.
What waits for a peer is no standstill: it fails in time, and is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")

EVENT_LOOP = "event loop"
BLOCKED_SECONDS = 60.0
"""That the event loop may stand still; a gRPC server's own probe fails after as long."""
SILENT_SECONDS = 300.0
"""That a loop may take for what it does at a time, such as waiting for an engine."""
PATH = "/live"


class Heart:
    """The loops of a process, by when each is due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}

    def beat(self, loop: str, seconds: float | None = None) -> None:
        """A loop goes on, and is heard of again within so many seconds (SILENT_SECONDS)."""
        self._due[loop] = self._clock() + (SILENT_SECONDS if seconds is None else seconds)

    def rest(self, loop: str) -> None:
        """A loop ended, or does what may take any time."""
        self._due.pop(loop, None)

    @contextlib.contextmanager
    def during(self, step: str) -> Iterator[None]:
        """What is to end within SILENT_SECONDS; at rest before and afterwards."""
        self.beat(step)
        try:
            yield
        finally:
            self.rest(step)

    def stopped(self) -> list[str]:
        """Those that are overdue."""
        now = self._clock()
        return [loop for loop, due in self._due.copy().items() if due < now]

    def before(self, others: WSGIApplication) -> WSGIApplication:
        """What answers under PATH, and leaves other paths to `others`."""

        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] != PATH:
                return others(environ, start)
            stopped = self.stopped()
            start("503 Service Unavailable" if stopped else "200 OK", [])
            return [(f"not heard of: {', '.join(stopped)}" if stopped else "alive").encode()]

        return answer


HEART = Heart()
"""Of this process."""


async def beating(main: Coroutine[Any, Any, T]) -> T:
    """Run `main`, and show meanwhile that the event loop goes on."""
    beats = asyncio.create_task(_beat())
    try:
        return await main
    finally:
        beats.cancel()
        HEART.rest(EVENT_LOOP)


async def _beat() -> None:
    while True:
        HEART.beat(EVENT_LOOP, BLOCKED_SECONDS)
        await asyncio.sleep(BLOCKED_SECONDS / 10)
