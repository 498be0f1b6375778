"""The ranker's worker: `python -m ranker.worker`.

Runs trainings, evaluations, purges and exports one at a time (workers/jobs.py), publishes models
beside them (workers/publishing.py), deletes what is too old (events/retention.py), counts events
for recommenders (workers/counting.py), brings events from a log (workers/landing.py), asks for
nightly trainings (workers/nightly.py) and looks at feedback from time to time (workers/health.py).
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any

from ranker.adapters.backup_files import BackupFiles
from ranker.adapters.export_store import ExportStore
from ranker.adapters.retriever import Catalog
from ranker.domain.errors import PurgeUnnoted
from ranker.events import export, purge
from ranker.events.backups import purges
from ranker.events.export import EXPORT
from ranker.events.purge import PURGE
from ranker.events.record.answers import AnswerLog
from ranker.events.record.events import EventRecord
from ranker.events.record.grouping import GroupRecord
from ranker.events.record.selections import SelectionRecord
from ranker.events.record.tables import JOBS, METADATA
from ranker.events.retention import SWEEPING, Sweeper, days_by_type
from ranker.learning.feedback import health
from ranker.learning.publish import PUBLISH, Publication, PublishedModels
from ranker.settings import TrainSettings, WorkerSettings
from ranker.wiring import Backend, backend, log_access, stop_on_signals
from ranker.workers.counting import COUNTING, GROUPING, Grouper, count
from ranker.workers.health import Watch
from ranker.workers.jobs import Do, train_command, trainings, work
from ranker.workers.landing import Landing
from ranker.workers.loops import repeat
from ranker.workers.nightly import Nightly
from ranker.workers.publishing import Publisher
from servicekit import startup, telemetry
from servicekit.clock import now_micros
from servicekit.jobs import Job
from servicekit.keyring import signing_keys
from servicekit.migrations import settle
from servicekit.peers import PeerCredentials
from servicekit.retention import forget_jobs
from servicekit.server import run

LOOK_SECONDS = 30.0
"""How often, at least, it is asked whether a night has come or a look at feedback is due."""


def loops(
    settings: WorkerSettings, made: Backend, stop: asyncio.Event
) -> Iterator[Coroutine[Any, Any, None]]:
    """All that a worker does, until `stop` is set."""
    jobs, registry, catalogs = made.jobs, made.registry, settings.catalogs
    pace = (settings.lease_seconds, settings.poll_seconds)
    models = PublishedModels(registry, made.store)
    selections = SelectionRecord(made.database, settings.signals)
    exports = ExportStore(settings.export_store)
    does: dict[str, Do] = {
        **trainings(jobs, train_command, stop),
        PURGE: noted(settings, lambda job: purge.run(job, selections, jobs, stop)),
        EXPORT: lambda job: export.run(
            job, selections, exports.folder(job.catalog_id, job.id), jobs, stop
        ),
    }
    yield work(jobs, does, *pace, stop, tidy=made.prune)
    publications: dict[str, Do] = {
        PUBLISH: lambda job: Publication(job, models, made.index, jobs, stop).run()
    }
    yield work(jobs, publications, *pace, stop, name="ranker-publisher")
    sweeper = Sweeper(
        catalogs,
        days_by_type(settings.event_days, settings.impression_days),
        selections.expire,
        AnswerLog(made.database).sweep,
        now_micros,
    )
    counting = partial(count, made.database, settings.signals, stop)
    yield repeat(counting, settings.count_seconds, stop, "nothing counted", COUNTING)
    grouper = Grouper(
        GroupRecord(made.database),
        catalogs,
        Catalog(made.channel).some,
        settings.count_refresh_seconds,
    )
    yield repeat(grouper.look, settings.count_seconds, stop, "products not grouped", GROUPING)
    forget = partial(forget_jobs, made.database, JOBS, settings.job_days)
    for sweep, alive in ((partial(sweeper.sweep, stop), SWEEPING), (forget, "")):
        yield repeat(sweep, settings.sweep_seconds, stop, "nothing swept", alive)
    yield from optional_loops(settings, made, models, stop)


def noted(settings: WorkerSettings, do: Do) -> Do:
    """The same, and a note of each purge beside the backups, where there are some."""
    if not settings.backups:
        return do
    keys = signing_keys(settings.backup_keys_file)

    async def done(job: Job) -> dict[str, str]:
        result = await do(job)
        try:
            files = BackupFiles(settings.backups, keys())
            await asyncio.to_thread(purges.note, files, job)
        except OSError as error:
            raise PurgeUnnoted from error
        return result

    return done


def optional_loops(
    settings: WorkerSettings, made: Backend, models: PublishedModels, stop: asyncio.Event
) -> Iterator[Coroutine[Any, Any, None]]:
    """What can be turned off."""
    jobs, registry, catalogs = made.jobs, made.registry, settings.catalogs
    if settings.publish:
        follow = Publisher(jobs, registry, catalogs).follow
        yield repeat(follow, settings.poll_seconds, stop, "models not published", "publishing")
    if settings.auto_promote:
        hour, events = settings.auto_promote_hour, EventRecord(made.database)
        nightly = Nightly(hour, jobs, registry, events, models.load, now_micros)
        for catalog_id in catalogs:
            look = partial(nightly.look, catalog_id)
            yield repeat(
                *(look, LOOK_SECONDS, stop, "night not worked on", f"nights of {catalog_id}"),
                catalog_id=catalog_id,
            )
    if (access := log_access(settings)) is not None:
        from ranker.adapters.kafka import EventLog  # the extra `kafka`

        record = EventRecord(made.database, settings.signals, late=True)
        yield Landing(EventLog(access, settings.kafka_group), record.append, now_micros).run(stop)
    if every := settings.health_seconds:
        days, reference = settings.health_days, settings.health_reference_days
        compared = partial(health.windows, days=days, reference_days=reference)
        watch = Watch(made.database, made.store, catalogs, every, compared)
        yield repeat(watch.look, min(every, LOOK_SECONDS), stop, "feedback not looked at")


async def main() -> None:
    """Wire the worker and run it until SIGTERM or SIGINT."""
    # A training's too: mistakes show now, not in a job.
    settings = startup.load(TrainSettings, PeerCredentials.of, log_access)
    startup.observe("ranker-worker", settings, settings.log_level)
    with contextlib.ExitStack() as cleanup:
        async with backend(settings) as made:
            settle(made.database, METADATA, settings)  # waits, maybe, until a signal ends it
            stop = stop_on_signals()
            if settings.worker_metrics_port:
                port, host = settings.worker_metrics_port, settings.host
                cleanup.callback(telemetry.serve_metrics(port, host))
            telemetry.get_logger().info("working")
            async with asyncio.TaskGroup() as tasks:
                for loop in loops(settings, made, stop):
                    tasks.create_task(loop)


if __name__ == "__main__":
    run(main())
