"""Runs claimed jobs to their ends. Needs the extra `sql`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from servicekit import telemetry, tracing
from servicekit.errors import ServiceError, Unavailable
from servicekit.jobs.queue import Job, JobClaimLost, Jobs
from servicekit.liveness import LIVENESS

FINISH_SECONDS = 1.0
"""Seconds between two attempts to store the result of a job in a busy store."""

Do: TypeAlias = Callable[[Job], Awaitable[Mapping[str, Any]]]
"""Runs a claimed job and returns its result (JSON values)."""


class JobLeft(Exception):
    """The job is left as it is, to be claimed again once its claim has expired: by the next worker
    when this one stops, or after an attempt died. The message says why."""


def leave_on(stop: asyncio.Event) -> None:
    """Raise JobLeft if the worker stops."""
    if stop.is_set():
        raise JobLeft("the worker stops")


@dataclass(frozen=True, slots=True)
class JobWorker:
    """A worker that claims jobs of one store and runs them."""

    jobs: Jobs
    name: str
    """Unique to this process; see servicekit.sql.leases.worker_id."""
    lease_seconds: float
    """Seconds after which jobs of a dead worker are claimed again."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no more jobs are to begin."""

    async def next(self, does: Mapping[str, Do]) -> Job | None:
        """Claim the oldest job of these kinds and run it. Return it; None if there is none.

        Raises Unavailable if the store is.
        """
        job = await self.claim(tuple(does))
        if job is not None:
            await self.run(job, does[job.kind])
        return job

    async def claim(self, kinds: Sequence[str]) -> Job | None:
        """Claim the oldest job of these kinds; None if there is none, or `stop` is set."""
        if self.stop.is_set():
            return None
        with LIVENESS.watch(f"asking for {kinds[0]} jobs"):  # the job may take hours
            return await self.jobs.claim(kinds, self.name, self.lease_seconds)

    async def run(self, job: Job, do: Do) -> None:
        """Run a claimed job, with its claim renewed, until it ends, is lost or is left.

        Raises Unavailable, which leaves the job too.
        """
        log = telemetry.get_logger().bind(job=job.id, kind=job.kind, attempt=job.attempts)
        log.info("job begun")
        try:
            with tracing.job(job.kind, job.catalog_id, job.id):
                async with self.jobs.renewing(job):
                    result = await do(job)
                    await self._finish(job, result)
            log.info("job done", **result)
        except JobClaimLost:
            log.warning("job lost to another worker")
        except JobLeft as error:
            log.warning("job left: it is claimed again after its claim expires", cause=str(error))
        except Unavailable:
            raise
        except Exception as error:
            if isinstance(error, ServiceError):
                log.warning("job ended", reason=error.reason)
            else:
                log.exception("job ended")
            await self.jobs.fail(job, error)

    async def _finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """Store the result of a job, which may have taken hours, as soon as the store answers."""
        while True:
            try:
                return await self.jobs.finish(job, result)
            except Unavailable:
                if self.stop.is_set():
                    raise
                await asyncio.sleep(FINISH_SECONDS)
