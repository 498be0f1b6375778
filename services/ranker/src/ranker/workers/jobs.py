"""`python -m ranker.worker`: runs the ranker's jobs, one at a time.

Purges and exports of events run in this process (see events/). So do publications of models (see
models/publish.py), beside the other jobs, for they may have to wait for the retriever. What is too
old is deleted here all the time (see events/retention.py), and feedback looked at from time to time
(see health.py).

A training or an evaluation is a process of its own, so that it can be killed, cancelled or run out
of memory without touching anything else. This process holds the job's claim and keeps it alive.
When the training dies without a word, or this process does, the claim runs out and the job is taken
up again; nothing that serves is touched, because a model serves only once it is promoted.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ranker.adapters.export_store import ExportStore
from ranker.domain.errors import ExportUnwritable, Interrupted
from ranker.domain.model import EVALUATE, TRAIN
from ranker.events import export, purge
from ranker.events.export import EXPORT
from ranker.events.purge import PURGE
from ranker.record.selections import SelectionRecord
from ranker.workers.options import Options
from servicekit import telemetry
from servicekit.errors import FailedPrecondition, ServiceError, Unavailable
from servicekit.jobs import Job, JobCancelled, JobClaimLost, Jobs
from servicekit.leases import worker_id

MAX_ATTEMPTS = 3
"""A training that killed three workers will kill a fourth."""

TERMINATE_SECONDS = 5.0
FINISH_SECONDS = 1.0
"""Between two tries to tell a result to a busy store."""

Command = Callable[[str], Sequence[str]]
"""The command line of the process that does the job of this id."""

Tidy = Callable[[str], Awaitable[None]]
"""Deletes old models of a catalog."""


class TrainingFailed(FailedPrecondition):
    """The training ended with an error that it named."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason=reason)


class TrainingDied(Exception):
    """The training ended without a word: killed, or out of memory."""


def train_command(job_id: str) -> Sequence[str]:
    """A training in this Python, which ends when this process does."""
    parent = str(os.getpid())
    return (sys.executable, "-m", "ranker.train", "--job", job_id, "--parent", parent)


@dataclass(frozen=True, slots=True)
class Exporter:
    """What exports need."""

    rows: SelectionRecord
    store: ExportStore

    async def run(self, job: Job, jobs: Jobs, stop: asyncio.Event) -> dict[str, str]:
        """Do the job; what export.run says."""
        folder = self.store.folder(job.catalog_id, job.id)
        return await export.run(job, self.rows, folder, jobs, stop)


async def work(
    jobs: Jobs,
    command: Command,
    settings: Options,
    stop: asyncio.Event,
    purger: SelectionRecord | None = None,
    *,
    exporter: Exporter | None = None,
    tidy: Tidy | None = None,
) -> None:
    """Claim and run jobs until `stop` is set; a job in progress is then left to be claimed anew.

    Without a `purger` purges are left to another worker, and so are exports without an `exporter`.
    `tidy` is called after each training.
    """
    able = {TRAIN: True, EVALUATE: True, PURGE: purger is not None, EXPORT: exporter is not None}
    kinds = [kind for kind, can in able.items() if can]
    me = worker_id("ranker-worker")
    log = telemetry.get_logger()
    while not stop.is_set():
        try:
            job = await jobs.claim(kinds, me, settings.lease_seconds)
            if job is not None:
                await run_job(jobs, job, command, stop, purger, exporter=exporter)
                if tidy is not None and job.kind == TRAIN:
                    await tidy(job.catalog_id)
                continue
        except ServiceError as error:
            log.warning("job not worked on", reason=error.reason)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.poll_seconds)


async def run_job(
    jobs: Jobs,
    job: Job,
    command: Command,
    stop: asyncio.Event,
    purger: SelectionRecord | None = None,
    *,
    exporter: Exporter | None = None,
) -> None:
    """Run one claimed job to its end, or to where it has to be left."""
    log = telemetry.get_logger().bind(job_id=job.id, kind=job.kind, attempt=job.attempts)
    log.info("job begun")
    try:
        async with jobs.renewing(job.id):
            if job.kind == PURGE and purger is not None:
                result = await purge.run(job, purger, jobs, stop)
            elif job.kind == EXPORT and exporter is not None:
                result = await exporter.run(job, jobs, stop)
            else:
                result = await _supervise(jobs, job, command, stop)
            await finish(jobs, job, result, stop)
        log.info("job done", **result)
    except JobClaimLost:
        log.warning("job lost to another worker")
    except Interrupted:
        log.info("job left; it is free again when its claim runs out")
    except TrainingDied:
        log.warning("training died; the job is free again when its claim runs out")
    except (TrainingFailed, ExportUnwritable, JobCancelled) as error:
        log.warning("job ended", reason=error.reason)
        await jobs.fail(job.id, error)


async def finish(jobs: Jobs, job: Job, result: dict[str, str], stop: asyncio.Event) -> None:
    """Tell the result, as often as it takes: hours of training may stand behind it."""
    while True:
        try:
            return await jobs.finish(job.id, result)
        except Unavailable:
            if stop.is_set():
                raise
            await asyncio.sleep(FINISH_SECONDS)


async def _supervise(jobs: Jobs, job: Job, command: Command, stop: asyncio.Event) -> dict[str, str]:
    """Follow the process; its result. Raises TrainingFailed, TrainingDied or what `jobs` says."""
    process = await asyncio.create_subprocess_exec(
        *command(job.id), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        done, total = job.done, job.total
        async for line in _lines(process, stop):
            if "result" in line:
                return {str(key): str(value) for key, value in line["result"].items()}
            if "error" in line:
                raise TrainingFailed(line["error"]["message"], line["error"]["reason"])
            if "total" in line:
                done, total = int(line["done"]), int(line["total"])
            # A store that is busy now costs no training: the claim outlives many of these.
            with contextlib.suppress(Unavailable):
                await jobs.progress(job.id, done, total)
        if not stop.is_set() and await process.wait() > 0:
            raise TrainingFailed("the training ended by a mistake of ours; see the log", "INTERNAL")
        raise TrainingDied
    finally:
        await _end(process)


async def _lines(
    process: asyncio.subprocess.Process, stop: asyncio.Event
) -> AsyncIterator[dict[str, Any]]:
    """The process's JSON lines, and an empty one each second of silence so that a cancel is seen.

    Ends with the process, or at once when `stop` is set.
    """
    assert process.stdout is not None  # noqa: S101 - asked for above
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
    """The line as JSON; empty for what a library printed."""
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
