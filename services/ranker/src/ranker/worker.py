"""The ranker's worker: `python -m ranker.worker`.

Runs trainings, evaluations, purges and exports one at a time (workers/jobs.py), publishes models
beside them (workers/publishing.py), deletes what is too old (events/retention.py), asks for nightly
trainings (workers/nightly.py) and looks at feedback from time to time (workers/health.py).
"""

import asyncio
import contextlib

from ranker.adapters.export_store import ExportStore
from ranker.events.retention import Sweeper, days_by_type
from ranker.models.publish import PublishedModels
from ranker.record.answers import AnswerLog
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord
from ranker.settings import TrainSettings, WorkerSettings
from ranker.wiring import Backend, backend, stop_on_signals
from ranker.workers.health import Watch
from ranker.workers.jobs import Exporter, train_command, work
from ranker.workers.nightly import Nightly
from ranker.workers.publishing import Publisher
from servicekit import config, telemetry
from servicekit.clock import now_micros
from servicekit.server import run


async def work_on(settings: WorkerSettings, made: Backend, stop: asyncio.Event) -> None:
    """All that a worker does, until `stop` is set."""
    models = PublishedModels(made.registry, made.store)
    selections = SelectionRecord(made.database, settings.signals)
    exporter = Exporter(selections, ExportStore(settings.export_store))
    events = EventRecord(made.database)
    sweeper = Sweeper(
        settings.catalogs,
        days_by_type(settings.event_days, settings.impression_days),
        selections.expire,
        AnswerLog(made.database).sweep,
        now_micros,
    )
    async with asyncio.TaskGroup() as tasks:
        for task in (
            work(
                *(made.jobs, train_command, settings, stop, selections),
                exporter=exporter,
                tidy=made.prune,
            ),
            sweeper.work(settings.sweep_seconds, stop),
            Publisher(made.jobs, models, made.index, settings, made.registry).work(stop),
            Nightly(settings, made.jobs, made.registry, events, models.load, now_micros).work(stop),
            Watch(settings, made.database, made.store).work(stop),
        ):
            tasks.create_task(task)


async def main() -> None:
    """Wire the worker and run it until SIGTERM or SIGINT."""
    settings = config.load(TrainSettings)  # a training's too: mistakes show now, not in a job
    telemetry.configure_logging("ranker-worker", settings.log_level)
    stop = stop_on_signals()
    with contextlib.ExitStack() as cleanup:
        if settings.worker_metrics_port:
            port, host = settings.worker_metrics_port, settings.host
            cleanup.callback(telemetry.serve_metrics(port, host))
        async with backend(settings) as made:
            await asyncio.to_thread(made.database.migrate)
            telemetry.get_logger().info("working")
            await work_on(settings, made, stop)


if __name__ == "__main__":
    run(main())
