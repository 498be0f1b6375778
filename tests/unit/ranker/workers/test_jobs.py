import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from ranker.domain.selection import PurgeCount, Selection
from ranker.events import purge
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord
from ranker.record.tables import JOBS
from ranker.workers import jobs as worker
from servicekit import liveness
from servicekit.jobs.queue import Job, Jobs, JobState
from servicekit.jobs.worker import JobWorker
from servicekit.processes.background import Priority
from servicekit.sql.database import Database, StoreBusy
from tests.fakes.ranker import NOW, stored
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.slow

ASKING = "asking for train jobs"
"""Name of the step in which a worker claims a job; see servicekit.liveness."""
PACE = (4.0, 0.05)
"""Seconds of a claim, and between two looks for a job."""


def python(code: str) -> worker.Command:
    """Return the command of a job that runs this code."""

    def command(job_id: str) -> Sequence[str]:
        return (sys.executable, "-c", code, job_id)

    return command


async def worked(db: Database, command: worker.Command, until: Sequence[JobState]) -> Job:
    """Return the job after a worker brought it to one of these states."""
    jobs, stop = Jobs(db, JOBS, max_attempts=2), asyncio.Event()
    job = await jobs.create("train", "default", {"seed": 0})
    task = asyncio.create_task(
        worker.work(jobs, worker.trainings(jobs, command, stop), *PACE, stop)
    )
    found = await reached(jobs, job, until)
    stop.set()
    await task
    return found


async def reached(jobs: Jobs, job: Job, states: Sequence[JobState]) -> Job:
    """Return the job once it is in one of these states."""
    async with asyncio.timeout(SECONDS):
        while (found := await jobs.get(job.id)).state not in states:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


DONE = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


async def test_a_job_ends_as_its_process_reported(
    db: Database,
) -> None:
    code = (
        "import sys; print('library noise'); print('{\"done\": 3, \"total\": 4}');"
        'print(\'{"result": {"model_version": "\' + sys.argv[1] + \'"}}\')'
    )
    job = await worked(db, python(code), DONE)
    assert job.state is JobState.SUCCEEDED
    assert job.result == {"model_version": job.id}
    assert (job.done, job.total) == (3, 4)


async def test_a_process_that_reported_ends_by_itself(db: Database, tmp_path: Path) -> None:
    """Check that the process may continue after its report, because it still has spans to send."""
    mark = tmp_path / "mark"
    code = (
        "import pathlib, time; print('{\"result\": {}}', flush=True)\n"
        f"time.sleep(0.3); pathlib.Path({str(mark)!r}).touch()"
    )
    job = await worked(db, python(code), DONE)
    assert job.state is JobState.SUCCEEDED
    assert mark.exists()


async def test_an_error_that_was_named_ends_the_job_with_its_reason(db: Database) -> None:
    code = 'print(\'{"error": {"reason": "TRAINING_DATA_INSUFFICIENT", "message": "none"}}\')'
    job = await worked(db, python(code), DONE)
    assert (job.state, job.error_reason) == (JobState.FAILED, "TRAINING_DATA_INSUFFICIENT")


async def test_a_mistake_of_ours_fails_at_once_without_its_text(db: Database) -> None:
    job = await worked(db, python("raise SystemExit(3)"), DONE)
    assert (job.state, job.error_reason, job.attempts) == (JobState.FAILED, "INTERNAL", 1)


@pytest.mark.full
async def test_a_killed_training_is_taken_up_again_and_then_given_up(db: Database) -> None:
    job = await worked(db, python("import os; os.kill(os.getpid(), 9)"), DONE)
    assert job.state is JobState.FAILED
    assert (job.error_reason, job.attempts) == ("JOB_ATTEMPTS_EXHAUSTED", 2)


@pytest.mark.full
async def test_a_training_that_was_killed_once_succeeds_the_second_time(
    db: Database, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    code = (
        f"import os, pathlib; m = pathlib.Path({str(mark)!r})\n"
        "if not m.exists(): m.touch(); os.kill(os.getpid(), 9)\n"
        "print('{\"result\": {}}')"
    )
    job = await worked(db, python(code), DONE)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)


async def test_old_models_are_looked_for_after_a_training_and_no_other_job(db: Database) -> None:
    jobs, stop, tidied = Jobs(db, JOBS), asyncio.Event(), asyncio.Queue[str]()
    made = [await jobs.create(kind, "default", {}) for kind in ("evaluate", "train")]
    code = "print('{\"result\": {}}')"
    does = worker.trainings(jobs, python(code), stop)
    task = asyncio.create_task(worker.work(jobs, does, *PACE, stop, tidy=tidied.put))
    for job in made:
        await reached(jobs, job, DONE)
    async with asyncio.timeout(SECONDS):
        assert await tidied.get() == "default"
    stop.set()
    await task
    assert tidied.empty()


async def test_a_cancelled_job_ends_its_process(db: Database, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        f"import os, pathlib, time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    jobs = Jobs(db, JOBS)
    job = await jobs.create("train", "default", {})
    stop = asyncio.Event()
    others = Jobs(db, JOBS)
    does = worker.trainings(others, python(code), stop)
    task = asyncio.create_task(worker.work(others, does, *PACE, stop))
    await until(lambda: mark.exists() and mark.read_text())
    await jobs.cancel(job.id)
    await reached(jobs, job, (JobState.CANCELLED,))
    await until(lambda: not psutil.pid_exists(int(mark.read_text())))
    stop.set()
    await task


async def test_a_stopping_worker_leaves_its_job_to_the_next_one(db: Database) -> None:
    jobs, stop = Jobs(db, JOBS), asyncio.Event()
    job = await jobs.create("train", "default", {})
    others = Jobs(db, JOBS)
    slow = worker.trainings(others, python("import time; time.sleep(30)"), stop)
    task = asyncio.create_task(worker.work(others, slow, *PACE, stop))
    await reached(jobs, job, (JobState.RUNNING,))
    stop.set()
    await task
    assert (await jobs.get(job.id)).state is JobState.RUNNING

    async def taken_up() -> bool:
        return await jobs.claim(("train",), "next", 1) is not None

    await until(taken_up)  # once the claim of the first one has run out


def test_a_training_runs_in_this_python() -> None:
    command = worker.train_command(Priority.LOW)("id")
    assert command[:5] == (sys.executable, "-m", "ranker.train", "--job", "id")
    assert command[5:] == ("--parent", str(os.getpid()), "--priority", "low")


@pytest.mark.parametrize("line", [b"", b"noise\n", b"3\n", b"\xff\n"])
def test_a_line_that_is_no_object_says_nothing(line: bytes) -> None:
    assert worker._parsed(line) == {}


class BusyJobs(Jobs):
    """Jobs whose store is busy at the first two reports of progress, and at the first end."""

    refused = 0
    unfinished = 0

    async def progress(self, job: Job, done: int, total: int) -> None:
        if self.refused < 2:
            self.refused += 1
            raise StoreBusy
        await super().progress(job, done, total)

    async def finish(self, job: Job, result: Mapping[str, Any] | None = None) -> None:
        if not self.unfinished:
            self.unfinished += 1
            raise StoreBusy
        await super().finish(job, result)


async def test_a_store_that_is_busy_for_a_moment_costs_no_training(db: Database) -> None:
    lines = [f'{{"done": {n}, "total": 3}}' for n in range(1, 4)]
    code = "\n".join(f"print({line!r})" for line in [*lines, '{"result": {}}'])
    jobs, stop = BusyJobs(db, JOBS), asyncio.Event()
    await jobs.create("train", "default", {})
    job = await JobWorker(jobs, "me", 30, stop).next(worker.trainings(jobs, python(code), stop))
    assert job is not None
    done = await jobs.get(job.id)
    assert (done.state, done.attempts, done.done) == (JobState.SUCCEEDED, 1, 3)


async def test_a_training_that_reports_often_is_written_seldom_and_its_last_report_at_the_end(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PROGRESS_SECONDS", SECONDS)
    code = """
for done in range(1, 301):
    print('{"done": %d, "total": 300}' % done)
print('{"result": {}}')
"""
    jobs, stop, written = Jobs(db, JOBS), asyncio.Event(), list[int]()
    progress = jobs.progress

    async def noting(job: Job, done: int, total: int) -> None:
        written.append(done)
        await progress(job, done, total)

    monkeypatch.setattr(jobs, "progress", noting)
    await jobs.create("train", "default", {})
    job = await JobWorker(jobs, "me", 30, stop).next(worker.trainings(jobs, python(code), stop))
    assert job is not None
    assert written == [1, 300]
    assert (await jobs.get(job.id)).done == 300


@pytest.mark.full
def test_a_training_whose_worker_is_gone_already_does_not_begin() -> None:
    line = [*worker.train_command(Priority.IDLE)("id")[:5], "--parent", "1"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has ended" in done.stderr


async def test_a_purge_is_done_by_the_worker_itself(db: Database) -> None:
    events = EventRecord(db)
    await events.append([stored("e1"), stored("e2", product_id="p2")])
    jobs, stop = Jobs(db, JOBS), asyncio.Event()
    params = purge.params(Selection("default", product_id="p2"), PurgeCount(1, NOW, NOW, 9))
    job = await jobs.create(purge.PURGE, "default", params)
    others, selections = Jobs(db, JOBS), SelectionRecord(db)

    async def purged(job: Job) -> dict[str, str]:
        return await purge.run(job, selections, others, stop)

    task = asyncio.create_task(worker.work(others, {purge.PURGE: purged}, *PACE, stop))
    found = await reached(jobs, job, DONE)
    stop.set()
    await task
    assert (found.state, found.result) == (JobState.SUCCEEDED, {"deleted_count": "1"})
    (kept,) = await events.events_of("default", stored().actor, limit=9, before=None)
    assert kept.event.event_id == "e1"


async def test_a_mistake_of_ours_fails_the_job_and_leaves_the_worker_at_work(db: Database) -> None:
    jobs, stop = Jobs(db, JOBS), asyncio.Event()
    made = [await jobs.create("purge_events", "default", {"n": n}) for n in range(2)]

    async def mistaken(job: Job) -> dict[str, str]:
        raise RuntimeError("a text that nobody may see")

    others = Jobs(db, JOBS)
    task = asyncio.create_task(worker.work(others, {"purge_events": mistaken}, *PACE, stop))
    for job in made:
        found = await reached(jobs, job, DONE)
        assert (found.state, found.error_reason) == (JobState.FAILED, "INTERNAL")
        assert "nobody" not in found.error_message
    stop.set()
    await task


async def test_a_worker_is_alive_through_a_long_job_and_not_where_asking_for_one_hangs(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0.3)
    jobs, stop, end = Jobs(db, JOBS), asyncio.Event(), asyncio.Event()
    job = await jobs.create("train", "default", {})

    async def long(_: Job) -> dict[str, str]:
        await end.wait()
        return {}

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(worker.work(jobs, {"train": long}, 30, 0.01, stop, name="lives"))
    await reached(jobs, job, (JobState.RUNNING,))
    await asyncio.sleep(0.4)
    assert ASKING not in liveness.LIVENESS.overdue()
    monkeypatch.setattr(jobs, "claim", never)
    end.set()
    await until(lambda: ASKING in liveness.LIVENESS.overdue())
    task.cancel()
    liveness.LIVENESS.suspend(ASKING)
