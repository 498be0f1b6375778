"""Training in a separate process, and trainings requested by a timer."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from ranker.adapters.retriever import Catalog
from ranker.domain.model import EVALUATE, TRAIN, UNLEARN
from ranker.learning.publish import PublishedModels
from ranker.learning.training.job import TrainingInputs, evaluate_again, run
from ranker.learning.training.unlearn import unlearn
from ranker.settings import TrainSettings
from ranker.wiring.backend import backend, settle_record, stop_on_signals, to_retriever
from ranker.workers.jobs import train_command, trainings, work
from ranker.workers.nightly import judge
from servicekit import startup, tracing
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Job, Jobs, JobState

ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


async def do(job_id: str) -> int:
    """Run the job, report progress on standard output and return the exit status."""
    settings = startup.load(TrainSettings, to_retriever)
    startup.observe("ranker-train", settings, settings.log_level)

    def progress(done: int, total: int) -> None:
        _print({"done": done, "total": total})

    async with backend(settings) as made:
        inputs = TrainingInputs(made.database, Catalog(made.channel), made.store)
        try:
            job = await made.jobs.get(job_id)
            with tracing.job(job.kind, job.catalog_id, job.id):
                if job.kind == EVALUATE:
                    result = await evaluate_again(job_id, inputs, progress)
                elif job.kind == UNLEARN:
                    count = await unlearn(job.catalog_id, made.database, made.store, progress)
                    result = {"model_count": str(count)}
                else:
                    result = await run(job_id, settings.training, inputs, progress)
        except ServiceError as error:
            _print({"error": {"reason": error.reason, "message": error.message}})
            return 1
    _print({"result": result})
    return 0


async def ask(catalog_id: str, *, incremental: bool, promote: bool) -> int:
    """Request a training, wait for its end and return the exit status."""
    settings = startup.load(TrainSettings, to_retriever)
    startup.observe("ranker-train", settings, settings.log_level)
    async with backend(settings) as made:
        if catalog_id not in made.catalogs:
            sys.exit(f"catalog {catalog_id}: {made.catalogs.refusal(catalog_id)}")
        settle_record(made.database, settings)
        stop = stop_on_signals()
        params = {"seed": 0} | ({"incremental": True} if incremental else {})
        job = await made.jobs.create(TRAIN, catalog_id, params)
        async with asyncio.TaskGroup() as tasks:
            command = train_command(settings.training_priority)
            does = trainings(made.jobs, command, stop)
            pace = (settings.lease_seconds, settings.poll_seconds)
            tasks.create_task(work(made.jobs, does, *pace, stop, tidy=made.prune))
            ended = await _end(made.jobs, job, settings.poll_seconds, stop)
            stop.set()
        if promote and ended is JobState.SUCCEEDED:
            version = str((await made.jobs.get(job.id)).result["model_version"])
            load = PublishedModels(made.registry, made.store).load
            await judge(catalog_id, version, made.registry, load, now_micros())
    return 0 if ended is JobState.SUCCEEDED else 1


async def _end(jobs: Jobs, job: Job, seconds: float, stop: asyncio.Event) -> JobState:
    """Wait for the job's end or for `stop`, and return its state."""
    while True:
        state = (await jobs.get(job.id)).state
        if state in ENDED or stop.is_set():
            return state
        await asyncio.sleep(seconds)


def _print(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)
