"""The ranker's worker: `python -m ranker.worker`.

Runs trainings, evaluations, purges and exports one at a time (workers/jobs.py), publishes models
beside them (workers/publishing.py), deletes expired data (events/event_retention.py), counts events
for recommenders (workers/counting.py), copies events from a log (workers/landing.py), requests
nightly trainings (workers/nightly.py) and checks feedback periodically
(workers/feedback_health.py).
"""

from servicekit.processes.background import yield_to_answers

if __name__ == "__main__":
    yield_to_answers()  # before the other imports, which take a second or two of a processor

import asyncio
import contextlib
import sys

from ranker.domain.errors import KeyUnusable
from ranker.settings import TrainSettings
from ranker.settings.shared import StoreSettings
from ranker.wiring.backend import (
    backend,
    log_access,
    settle_record,
    stop_on_signals,
    to_retriever,
)
from ranker.wiring.record import prepare_keys
from ranker.wiring.worker import loops
from servicekit import startup, telemetry
from servicekit.rpc.server import run


async def main() -> None:
    """Wire the worker and run it until SIGTERM or SIGINT."""
    # Settings of trainings are validated too, so that errors show at start and not in a job.
    settings = startup.load(TrainSettings, to_retriever, log_access, StoreSettings.wrapper)
    startup.observe("ranker-worker", settings, settings.log_level)
    with contextlib.ExitStack() as cleanup:
        async with backend(settings) as made:
            settle_record(made.database, settings)  # may wait until a signal stops it
            try:
                await prepare_keys(made.database, made.sealer)
            except KeyUnusable as error:
                sys.exit(f"the worker does not start: {error}")
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
