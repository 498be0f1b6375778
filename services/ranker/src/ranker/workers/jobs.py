"""`python -m ranker.worker`: runs the ranker's jobs, one at a time (servicekit.jobs.worker).

Purges and exports of events run in this process (see events/). So do publications of models (see
learning/publish.py), beside the other jobs, because they may wait for the retriever. Expired data
is deleted continuously (see events/event_retention.py), and feedback is checked periodically (see
feedback_health.py).

A training or an evaluation is a separate process, so that it can be killed, cancelled or run out of
memory without affecting other work. This process holds and renews the job's claim. If the training
or this process dies, the claim expires and the job is claimed again. The serving model is not
affected, because a model serves only after its promotion.
"""

import asyncio
import contextlib
import json
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ranker.domain.model import EVALUATE, TRAIN, UNLEARN
from servicekit import tracing
from servicekit.errors import FailedPrecondition, Unavailable
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.jobs.worker import Do, JobLeft, JobWorker
from servicekit.processes.background import Priority, half_the_cores
from servicekit.sql.leases import worker_id
from servicekit.tasks.loops import LATEST_SECONDS, Loop

MAX_ATTEMPTS = 3
"""Maximum number of attempts: a training that killed three workers will kill a fourth."""

LAST_SECONDS = 5.0
"""Seconds that a process has to exit after it reported its result."""
TERMINATE_SECONDS = 5.0
PROGRESS_SECONDS = 1.0
"""Minimum seconds between two writes of a training's progress: small ones report it many times a
second."""

Command = Callable[[str], Sequence[str]]
"""Command line of the process that runs the job with this id."""

Tidy = Callable[[str], Awaitable[None]]
"""Deletes old models of a catalog."""


class TrainingFailed(FailedPrecondition):
    """The training reported an error."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason=reason)


class TrainingDied(JobLeft):
    """The training ended without a result: killed, or out of memory."""

    def __init__(self) -> None:
        super().__init__("its process died")


def train_command(priority: Priority) -> Command:
    """Return the command of a job's training process, which ends with this process."""
    given = ("--parent", str(os.getpid()), "--priority", priority)
    return lambda job_id: (sys.executable, "-m", "ranker.train", "--job", job_id, *given)


def trainings(jobs: Jobs, command: Command, stop: asyncio.Event) -> dict[str, Do]:
    """Return the jobs that train, evaluate and unlearn, each in its own process."""
    return dict.fromkeys((TRAIN, EVALUATE, UNLEARN), partial(_supervise, jobs, command, stop))


async def work(
    jobs: Jobs,
    does: Mapping[str, Do],
    lease_seconds: float,
    poll_seconds: float,
    stop: asyncio.Event,
    *,
    name: str = "ranker-worker",
    tidy: Tidy | None = None,
    commits: asyncio.Event | None = None,
) -> None:
    """Claim and run jobs of these kinds until `stop` is set; a running job is then left to be
    claimed again. `tidy` is called after each training. `commits`: an event of the record."""
    worker = JobWorker(jobs, worker_id(name), lease_seconds, stop)

    async def look() -> bool:
        job = await worker.next(does)
        if tidy is not None and job is not None and job.kind == TRAIN:
            await tidy(job.catalog_id)
        return job is not None

    latest = min(LATEST_SECONDS, lease_seconds / 2)  # a claim of a dead worker expires
    await Loop("claiming a job failed", look, poll_seconds, commits, latest).run(stop)


async def _supervise(jobs: Jobs, command: Command, stop: asyncio.Event, job: Job) -> dict[str, str]:
    """Follow the process and return its result. Raise TrainingFailed, TrainingDied or errors of
    `jobs`."""
    process = await asyncio.create_subprocess_exec(
        *command(job.id),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | half_the_cores() | tracing.for_processes(),
    )
    try:
        done, total = job.done, job.total
        not_before = -math.inf
        async for line in _lines(process, stop):
            if "error" in line:
                raise TrainingFailed(line["error"]["message"], line["error"]["reason"])
            if "total" in line:
                done, total = int(line["done"]), int(line["total"])
            if "result" in line:
                with contextlib.suppress(TimeoutError):  # it exports its spans
                    await asyncio.wait_for(process.wait(), LAST_SECONDS)
                with contextlib.suppress(Unavailable, JobCancelled):  # too late
                    await jobs.progress(job, done, total)
                return {str(key): str(value) for key, value in line["result"].items()}
            if time.monotonic() >= not_before:
                # A busy store does not fail the training: the claim outlasts many attempts.
                with contextlib.suppress(Unavailable):
                    await jobs.progress(job, done, total)
                    not_before = time.monotonic() + PROGRESS_SECONDS
        if not stop.is_set() and await process.wait() > 0:
            raise TrainingFailed(
                "the training failed with an internal error; see the log", "INTERNAL"
            )
        raise TrainingDied
    finally:
        await _end(process)


async def _lines(
    process: asyncio.subprocess.Process, stop: asyncio.Event
) -> AsyncIterator[dict[str, Any]]:
    """Yield the process's lines of JSON, and an empty line for each second without output, so that
    a cancellation is noticed. End with the process, or immediately when `stop` is set."""
    assert process.stdout is not None  # noqa: S101 - requested above
    reading = asyncio.ensure_future(process.stdout.readline())
    try:
        while not stop.is_set():
            await asyncio.wait({reading}, timeout=1.0)
            if not reading.done():
                yield {}
                continue
            line = reading.result()
            if not line:
                return
            reading = asyncio.ensure_future(process.stdout.readline())
            yield _parsed(line)
    finally:
        reading.cancel()


def _parsed(line: bytes) -> dict[str, Any]:
    """Parse the line as JSON; {} for output of libraries."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), TERMINATE_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
