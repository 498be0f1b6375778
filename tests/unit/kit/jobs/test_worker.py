"""A worker runs jobs to their ends: done, failed, lost or left."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from servicekit.errors import Unavailable
from servicekit.jobs import worker as worker_module
from servicekit.jobs.queue import Job, JobCancelled, Jobs, JobState
from servicekit.jobs.worker import JobLeft, JobWorker, leave_on
from servicekit.sql.database import Database, StoreBusy
from tests.fakes.kit_store import JOBS


@pytest.fixture
def board(db: Database) -> Jobs:
    return Jobs(db, JOBS)


@pytest.fixture
def working(board: Jobs, monkeypatch: pytest.MonkeyPatch) -> JobWorker:
    monkeypatch.setattr(worker_module, "FINISH_SECONDS", 0.0)
    return JobWorker(board, "one", 30.0)


async def raising(error: Exception) -> Mapping[str, Any]:
    raise error


async def test_a_job_ends_with_its_result(board: Jobs, working: JobWorker) -> None:
    async def do(job: Job) -> Mapping[str, Any]:
        return {"kind": job.kind, "count": job.params["count"]}

    made = await board.create("train", "default", {"count": 3})
    assert await working.next({"train": do}) is not None
    assert await working.next({"train": do}) is None
    found = await board.get(made.id)
    assert (found.state, dict(found.result)) == (
        JobState.SUCCEEDED,
        {"kind": "train", "count": 3},
    )


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (KeyError("mistake"), JobState.FAILED, "INTERNAL"),
        (JobCancelled("id"), JobState.CANCELLED, "JOB_CANCELLED"),
        (JobLeft("died"), JobState.RUNNING, ""),
    ],
)
async def test_a_failed_job_ends_and_one_that_is_left_stays(
    board: Jobs, working: JobWorker, error: Exception, state: JobState, reason: str
) -> None:
    made = await board.create("train", "default", {})
    await working.next({"train": lambda _: raising(error)})
    found = await board.get(made.id)
    assert (found.state, found.error_reason) == (state, reason)


async def test_a_job_of_an_unavailable_store_is_left_and_told(
    board: Jobs, working: JobWorker
) -> None:
    made = await board.create("train", "default", {})
    with pytest.raises(Unavailable):
        await working.next({"train": lambda _: raising(StoreBusy())})
    assert (await board.get(made.id)).state is JobState.RUNNING


async def test_a_result_is_stored_once_the_store_answers(
    board: Jobs, working: JobWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, tries = board.finish, []

    async def busy(*args: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StoreBusy
        await finish(*args)

    async def do(_: Job) -> Mapping[str, Any]:
        return {}

    monkeypatch.setattr(board, "finish", busy)
    made = await board.create("train", "default", {})
    await working.next({"train": do})
    assert (await board.get(made.id)).state is JobState.SUCCEEDED


async def test_a_worker_that_stops_claims_nothing(board: Jobs, working: JobWorker) -> None:
    await board.create("train", "default", {})
    working.stop.set()
    assert await working.claim(["train"]) is None
    with pytest.raises(JobLeft):
        leave_on(working.stop)
    leave_on(asyncio.Event())
