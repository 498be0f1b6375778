"""Progress of long work, reported as that of its job."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from servicekit.errors import Unavailable
from servicekit.jobs.queue import Job, Jobs

REPORT_SECONDS = 0.3
"""Seconds between a job's progress reports, which renew its claim."""
T = TypeVar("T")


class StoppedError(Exception):
    """The work was asked to stop."""


class Progress:
    """Progress of long work, shared between threads."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let the work end at its next step."""
        self._stopped.set()

    def add(self, number: int) -> None:
        """Add finished units. Raise StoppedError if the work was stopped."""
        if self._stopped.is_set():
            raise StoppedError
        self.done += number


async def reporting(work: Callable[[Progress], Awaitable[T]], job: Job, jobs: Jobs) -> T:
    """Do the work and report its progress meanwhile. Stop the work if the job is cancelled."""
    progress = Progress()
    task = asyncio.ensure_future(work(progress))
    try:
        while not task.done():
            with contextlib.suppress(Unavailable):  # the store is busy with the work itself
                await jobs.progress(job, progress.done, progress.total)
            await asyncio.wait({task}, timeout=REPORT_SECONDS)
        return task.result()
    finally:
        progress.stop()  # work in a thread ends at its next step
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # expected: the job was stopped
