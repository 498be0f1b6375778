"""`python -m ranker.worker`: runs the ranker's jobs, one at a time.

Purges and exports of events run in this process (see events/). So do publications of models (see
models/publish.py), beside the other jobs, for they may have to wait for the retriever. What is too
old is deleted here all the time (see events/retention.py), and feedback looked at from time to time
(see watching.py).

A training or an evaluation is a process of its own, so that it can be killed, cancelled or run out
of memory without touching anything else. This process holds the job's claim and keeps it alive.
When the training dies without a word, or this process does, the claim runs out and the job is taken
up again; nothing that serves is touched, because a model serves only once it is promoted.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ranker.events import export, purge
from ranker.events.export import EXPORT
from ranker.events.export_store import ExportStore
from ranker.events.purge import PURGE
from ranker.events.retention import Sweeper, days_by_type
from ranker.model import ExportUnwritable, Interrupted, Model, Purger
from ranker.models import publish
from ranker.models.artifact import ModelStore
from ranker.models.collaborative import CollaborativeIndex
from ranker.models.prune import prune
from ranker.models.publish import PUBLISH, ModelSource, Publication
from ranker.nightly import Nightly
from ranker.record.answers import AnswerLog
from ranker.record.events import EventRecord
from ranker.record.exports import ExportRecord
from ranker.record.models import ModelRegistry
from ranker.record.purges import PurgeRecord
from ranker.record.retention import RetentionRecord
from ranker.record.tables import CHECKPOINT_PAGES, JOBS, MIGRATIONS
from ranker.settings import TrainSettings, WorkerSettings
from ranker.watching import Watch
from servicekit import config, telemetry
from servicekit.channel import connect
from servicekit.errors import FailedPrecondition, ServiceError, Unavailable
from servicekit.jobs import Job, JobCancelled, JobClaimLost, Jobs, now_micros, worker_id
from servicekit.server import run
from servicekit.sql import Database

TRAIN, EVALUATE = "train", "evaluate"
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

    rows: export.Rows
    store: ExportStore

    async def run(self, job: Job, jobs: Jobs, stop: asyncio.Event) -> dict[str, str]:
        """Do the job; what export.run says."""
        folder = self.store.folder(job.catalog_id, job.id)
        return await export.run(job, self.rows, folder, jobs, stop)


async def work(
    jobs: Jobs,
    command: Command,
    settings: WorkerSettings,
    stop: asyncio.Event,
    purger: Purger | None = None,
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
    purger: Purger | None = None,
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
            await _finish(jobs, job, result, stop)
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


async def _finish(jobs: Jobs, job: Job, result: dict[str, str], stop: asyncio.Event) -> None:
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


def tidying(
    registry: ModelRegistry, store: ModelStore, index: CollaborativeIndex, keep: int
) -> Tidy:
    """Prunes as models/prune.py says; put off to the next training while the retriever is away."""

    async def tidy(catalog_id: str) -> None:
        try:
            await prune(
                catalog_id, keep, registry.prune, store.delete, index, now_micros=now_micros()
            )
        except (ServiceError, OSError) as error:
            telemetry.get_logger().warning("models not pruned", problem=str(error))

    return tidy


class PublishedModels:
    """What can be published: the registry's models, and which of them serves."""

    def __init__(self, registry: ModelRegistry, store: ModelStore) -> None:
        self._registry = registry
        self._store = store

    async def load(self, catalog_id: str, version: str) -> Model:
        """The model; ModelNotFound, ModelCorrupt."""
        found = await self._registry.get(catalog_id, version)
        return await asyncio.to_thread(self._store.read, catalog_id, version, found.manifest_sha256)

    async def serving(self, catalog_id: str) -> str:
        """The version that serves; empty = none does."""
        found = (await self._registry.promoted((catalog_id,))).get(catalog_id)
        return found.version if found else ""


class Publisher:
    """Does the jobs that publish models, and asks for one whenever another model serves."""

    def __init__(
        self,
        jobs: Jobs,
        models: ModelSource,
        index: CollaborativeIndex,
        settings: WorkerSettings,
        registry: ModelRegistry,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._index = index
        self._settings = settings
        self._registry = registry
        self._asked: set[str] = set()

    async def work(self, stop: asyncio.Event) -> None:
        """Claim and run jobs until `stop` is set; a job in progress is then left."""
        me = worker_id("ranker-publisher")
        log = telemetry.get_logger()
        while not stop.is_set():
            try:
                if self._settings.publish:
                    await self.follow()
                job = await self._jobs.claim((PUBLISH,), me, self._settings.lease_seconds)
                if job is not None:
                    await self._publish(job, stop)
                    continue
            except ServiceError as error:
                log.warning("job not worked on", reason=error.reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._settings.poll_seconds)

    async def follow(self) -> None:
        """Ask for a publication of each serving model, once for each time that it came to serve.

        From the record and not from the call that promotes: nothing is missed when either dies.
        """
        for catalog_id, model in (await self._registry.promoted(self._settings.catalogs)).items():
            key = f"serving {model.version} since {model.promoted_micros}"
            if f"{catalog_id} {key}" not in self._asked:
                await self._jobs.create(PUBLISH, catalog_id, publish.params(model.version), key)
                self._asked.add(f"{catalog_id} {key}")

    async def _publish(self, job: Job, stop: asyncio.Event) -> None:
        log = telemetry.get_logger().bind(job_id=job.id, kind=job.kind, attempt=job.attempts)
        log.info("job begun")
        try:
            async with self._jobs.renewing(job.id):
                publication = Publication(job, self._models, self._index, self._jobs, stop)
                result = await publication.run()
                await _finish(self._jobs, job, result, stop)
            log.info("job done", **result)
        except JobClaimLost:
            log.warning("job lost to another worker")
        except Interrupted:
            log.info("job left; it is free again when its claim runs out")
        except Unavailable:
            raise  # the record is away: free again when its claim runs out
        except Exception as error:
            named = isinstance(error, ServiceError)
            log.warning("job ended", reason=getattr(error, "reason", ""), exc_info=not named)
            await self._jobs.fail(job.id, error)


def sweeper(settings: WorkerSettings, database: Database) -> Sweeper:
    """What deletes events and records of answers that are too old."""
    return Sweeper(
        settings.catalogs,
        days_by_type(settings.event_days, settings.impression_days),
        RetentionRecord(database, settings.signals).expire,
        AnswerLog(database).sweep,
        now_micros,
    )


async def main() -> None:
    """Wire the worker and run it until SIGTERM or SIGINT."""
    settings = config.load(TrainSettings)  # a training's too: they are told now, not in a job
    telemetry.configure_logging("ranker-worker", settings.log_level)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stop_metrics = (
        telemetry.serve_metrics(settings.worker_metrics_port, settings.host)
        if settings.worker_metrics_port
        else None
    )
    database = Database(
        settings.database_url, migrations=MIGRATIONS, threads=2, checkpoint_pages=CHECKPOINT_PAGES
    )
    channel = connect(settings.retriever_target)
    try:
        await asyncio.to_thread(database.migrate)
        telemetry.get_logger().info("working")
        jobs = Jobs(database, JOBS, max_attempts=MAX_ATTEMPTS)
        registry = ModelRegistry(database)
        store, index = ModelStore(settings.model_store), CollaborativeIndex(channel)
        models = PublishedModels(registry, store)
        publisher = Publisher(jobs, models, index, settings, registry)
        tidy = tidying(registry, store, index, settings.keep_models)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                work(
                    jobs,
                    train_command,
                    settings,
                    stop,
                    PurgeRecord(database, settings.signals),
                    exporter=Exporter(ExportRecord(database), ExportStore(settings.export_store)),
                    tidy=tidy,
                )
            )
            tasks.create_task(sweeper(settings, database).work(settings.sweep_seconds, stop))
            tasks.create_task(publisher.work(stop))
            tasks.create_task(
                Nightly(
                    settings, jobs, registry, EventRecord(database), models.load, now_micros
                ).work(stop)
            )
            tasks.create_task(Watch(settings, database, store).work(stop))
    finally:
        await channel.close(None)
        database.close()
        if stop_metrics is not None:
            stop_metrics()


if __name__ == "__main__":
    run(main())
