"""Liveness of a process's loops, which a probe reads at `/live`, on the port of metrics.

A thread of its own serves it, so it answers even while the event loop is blocked or a loop waits
forever. Each report of a loop says when the next one is due. A loop that waits for a peer is alive:
the call fails at its deadline and is retried.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, NoReturn, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")

EVENT_LOOP = "event loop"
BLOCKED_SECONDS = 60.0
"""Seconds for which the event loop may be blocked; a gRPC server's own probe fails after the same
time."""
SILENT_SECONDS = 300.0
"""Default seconds for one step of a loop, such as waiting for an engine."""
PATH = "/live"
LOOK_SECONDS = 0.5
"""Seconds between two looks at an event loop whose process ends when it is blocked."""
BLOCKED_STATUS = 70
"""Exit status of that process (EX_SOFTWARE of sysexits.h)."""


class Liveness:
    """The loops of a process, by when the next report of each is due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}

    def report(self, loop: str, seconds: float | None = None) -> None:
        """Note that a loop runs and will report again within `seconds` (None: SILENT_SECONDS)."""
        self._due[loop] = self._clock() + (SILENT_SECONDS if seconds is None else seconds)

    def suspend(self, loop: str) -> None:
        """Expect no report of a loop: it ended, or its next step may take any time."""
        self._due.pop(loop, None)

    @contextlib.contextmanager
    def watch(self, step: str) -> Iterator[None]:
        """Expect the block to end within SILENT_SECONDS."""
        self.report(step)
        try:
            yield
        finally:
            self.suspend(step)

    def overdue(self) -> list[str]:
        """Return the loops whose report is overdue."""
        now = self._clock()
        return [loop for loop, due in self._due.copy().items() if due < now]

    def wrap(self, others: WSGIApplication) -> WSGIApplication:
        """Return an application that answers PATH and passes other paths to `others`."""

        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] != PATH:
                return others(environ, start)
            overdue = self.overdue()
            start("503 Service Unavailable" if overdue else "200 OK", [])
            return [(f"no report from: {', '.join(overdue)}" if overdue else "alive").encode()]

        return answer


LIVENESS = Liveness()
"""Liveness of this process."""


async def with_heartbeat(main: Coroutine[Any, Any, T], blocked_seconds: float | None = None) -> T:
    """Run `main` and report meanwhile that the event loop runs. `blocked_seconds`: see
    `ended_when_blocked`; None: a blocked loop is only reported."""
    heartbeat = asyncio.create_task(_heartbeat())
    try:
        with contextlib.ExitStack() as stack:
            if blocked_seconds is not None:
                stack.enter_context(ended_when_blocked(blocked_seconds))
            return await main
    finally:
        heartbeat.cancel()
        LIVENESS.suspend(EVENT_LOOP)


async def _heartbeat() -> None:
    while True:
        LIVENESS.report(EVENT_LOOP, BLOCKED_SECONDS)
        await asyncio.sleep(BLOCKED_SECONDS / 10)


_ALLOWED: list[str] = []
"""Steps under way that may block the event loop."""


@contextlib.contextmanager
def may_block(step: str) -> Iterator[None]:
    """Let a step block the event loop, such as an upgrade of tables at the start, without an end of
    the process."""
    _ALLOWED.append(step)
    try:
        yield
    finally:
        _ALLOWED.remove(step)


@contextlib.contextmanager
def ended_when_blocked(seconds: float) -> Iterator[None]:
    """End the process, with the stacks of all threads on stderr, if the running event loop takes no
    step for `seconds` during the block, unless it `may_block`.

    A thread counts its own waits, so that a process that was stopped and continued stays.
    """
    loop, ran, done = asyncio.get_running_loop(), threading.Event(), threading.Event()
    ran.set()

    def look() -> None:
        missed = 0
        while not done.wait(LOOK_SECONDS):
            missed = 0 if _ALLOWED else missed + 1
            if ran.is_set():
                missed = 0
                ran.clear()
                loop.call_soon_threadsafe(ran.set)
            elif missed * LOOK_SECONDS >= seconds:
                _end(f"ends: the event loop took no step for {seconds:g} s")

    thread = threading.Thread(target=look, name="blocked event loop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _end(why: str) -> NoReturn:
    try:
        print(why, file=sys.stderr, flush=True)
        faulthandler.dump_traceback()
    finally:
        os._exit(BLOCKED_STATUS)
