"""Watches of jobs: one read of the store at a time serves all watchers of a job.

Needs the extra `sql`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import Context

from servicekit.jobs.queue import Job, JobState

WATCH_SECONDS = 0.25
"""Seconds between two reads of a watched job."""

_OPEN = (JobState.PENDING, JobState.RUNNING)


class JobWatches:
    """The jobs that are watched in this process."""

    def __init__(self, read: Callable[[str], Awaitable[Job]]) -> None:
        """`read` returns the job of an id."""
        self._read = read
        self._watched: dict[str, _WatchedJob] = {}

    async def follow(self, job: Job) -> AsyncGenerator[Job, None]:
        """Yield a job, then its changes until it has ended. A slow watcher misses states, but never
        the last one.

        Raises what `read` raises.
        """
        watched = self._join(job)
        try:
            yield job
            while job.state in _OPEN:
                job = await watched.after(job)
                yield job
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                self._end(watched)

    def _join(self, job: Job) -> _WatchedJob:
        """Return the watched job of a job that was read just now, with one more watcher."""
        watched = self._watched.get(job.id)
        if watched is None:
            watched = self._watched[job.id] = _WatchedJob(job)
            # Its context is not that of the first watcher, which may leave before the others.
            watched.polling = asyncio.create_task(self._poll(watched), context=Context())
        watched.publish(job)
        watched.watchers += 1
        return watched

    async def _poll(self, watched: _WatchedJob) -> None:
        """Read a job until it has ended or can't be read."""
        try:
            while watched.job.state in _OPEN:
                await asyncio.sleep(WATCH_SECONDS)
                watched.publish(await self._read(watched.job.id))
        except Exception as error:
            watched.fail(error)
        finally:
            self._forget(watched)

    def _end(self, watched: _WatchedJob) -> None:
        if watched.polling is not None:
            watched.polling.cancel()
        self._forget(watched)

    def _forget(self, watched: _WatchedJob) -> None:
        """Let later watchers begin anew."""
        if self._watched.get(watched.job.id) is watched:
            del self._watched[watched.job.id]


class _WatchedJob:
    """A job as it was last read, with those who wait for a change."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.watchers = 0
        self.polling: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def publish(self, job: Job) -> None:
        """Wake the watchers if the job has changed."""
        if job != self.job:
            self.job = job
            self._wake()

    def fail(self, error: Exception) -> None:
        """Fail all watchers."""
        self._error = error
        self._wake()

    async def after(self, seen: Job) -> Job:
        """Return the job once it differs from what a watcher has seen. Raises what `fail` got."""
        while self.job == seen:
            if self._error is not None:
                raise self._error
            await self._changed.wait()
        return self.job

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
