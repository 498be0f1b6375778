"""`python -m ranker.train`: trains a model, or evaluates one (extra `train`).

``--job ID`` is what the worker starts, a process of its own for each job. It says how far it is in
lines of JSON on standard output:

    {"done": 3, "total": 40}                                  after each epoch
    {"result": {"model_version": "lfm-…"}}                    at the end, or
    {"error": {"reason": "…", "message": "…"}}

``--catalog ID`` is for a timer such as a CronJob: it asks for a training, does it or waits for the
worker that took it, and ends with 0 when there is a new model. Nothing that serves is touched,
unless ``--promote`` is given and the evidence for the new model is enough.
"""

import argparse
import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from ranker.adapters.retriever import Catalog
from ranker.domain.model import EVALUATE, TRAIN
from ranker.events.record.tables import METADATA
from ranker.learning.publish import PublishedModels
from ranker.learning.training.job import Workshop, evaluate_again, run
from ranker.settings import TrainSettings
from ranker.wiring import backend, stop_on_signals
from ranker.workers.jobs import train_command, trainings, work
from ranker.workers.nightly import judge
from servicekit import startup, tracing
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.jobs import Job, Jobs, JobState
from servicekit.migrations import settle
from servicekit.peers import PeerCredentials
from servicekit.server import PRIVATE

PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""

ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


async def do(job_id: str) -> int:
    """Run the job and report on standard output how it goes; the exit status."""
    settings = startup.load(TrainSettings, PeerCredentials.of)
    startup.observe("ranker-train", settings, settings.log_level)

    def progress(done: int, total: int) -> None:
        _print({"done": done, "total": total})

    async with backend(settings) as made:
        workshop = Workshop(made.database, Catalog(made.channel), made.store)
        try:
            job = await made.jobs.get(job_id)
            with tracing.job(job.kind, job.catalog_id, job.id):
                if job.kind == EVALUATE:
                    result = await evaluate_again(job_id, workshop, progress)
                else:
                    version = await run(job_id, settings.training, workshop, progress)
                    result = {"model_version": version}
        except ServiceError as error:
            _print({"error": {"reason": error.reason, "message": error.message}})
            return 1
    _print({"result": result})
    return 0


async def ask(catalog_id: str, *, incremental: bool, promote: bool) -> int:
    """Ask for a training and see it through; the exit status."""
    settings = startup.load(TrainSettings, PeerCredentials.of)
    startup.observe("ranker-train", settings, settings.log_level)
    if catalog_id not in settings.catalogs:
        sys.exit(f"catalog {catalog_id} is none of RANKER_CATALOGS")
    async with backend(settings) as made:
        settle(made.database, METADATA, settings)
        stop = stop_on_signals()
        params = {"seed": 0} | ({"incremental": True} if incremental else {})
        job = await made.jobs.create(TRAIN, catalog_id, params)
        async with asyncio.TaskGroup() as tasks:
            does = trainings(made.jobs, train_command, stop)
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
    """The state that the job ends in, or has when `stop` is set."""
    while True:
        state = (await jobs.get(job.id)).state
        if state in ENDED or stop.is_set():
            return state
        await asyncio.sleep(seconds)


def end_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which started it, ends (Linux).

    Otherwise a training whose worker was killed would go on beside the one that takes its place.
    The signal follows the parent's thread: the worker starts processes from its main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we came here
        sys.exit(f"process {parent}, which asked for this training, is gone")


def _print(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main() -> int:
    """Read the command line and do what it says; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ranker.train", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--job", help="id of the job row to train for")
    which.add_argument("--catalog", help="catalog to ask for a training of")
    parser.add_argument("--parent", type=int, help="with --job: id of the process to end with")
    parser.add_argument(
        "--incremental", action="store_true", help="with --catalog: go on from what serves"
    )
    parser.add_argument(
        "--promote",
        action="store_true",
        help="with --catalog: let the model serve if its evidence is enough",
    )
    given = parser.parse_args()
    os.umask(PRIVATE)
    if given.parent is not None:
        end_with(given.parent)
    if given.job:
        return asyncio.run(do(given.job))
    return asyncio.run(ask(given.catalog, incremental=given.incremental, promote=given.promote))


if __name__ == "__main__":
    sys.exit(main())
