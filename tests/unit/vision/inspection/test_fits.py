"""Fits of references as jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servicekit.errors import FailedPrecondition, ServiceError
from servicekit.jobs.queue import Job, Jobs, JobState
from servicekit.jobs.worker import JobWorker
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from servicekit.telemetry import Stages
from tests.fakes.patches import FakePatches
from tests.fakes.pieces import piece
from tests.waiting import until
from vision.adapters.photos import PhotoStore
from vision.domain.errors import EmbedderUnavailable, FitInProgress
from vision.domain.references import MOST_DRAFTS
from vision.inspection import fits
from vision.inspection.files import ReferenceFiles
from vision.inspection.fits import FIT_REFERENCE, FitJobs, ReferencePlan
from vision.inspection.references import References
from vision.record import Record
from vision.wiring import job_queue

PHOTOS = [piece(seed) for seed in range(12)]


@pytest.fixture
def features() -> FakePatches:
    return FakePatches()


@pytest.fixture
def references(record: Record, features: FakePatches, tmp_path: Path) -> Iterator[References]:
    store = PhotoStore(str(tmp_path / "photos"))
    yield References(record, ReferenceFiles(store), features)
    store.close()


async def ask(jobs: Jobs, name: str = "bottle", request_id: str = "") -> Job:
    return await fits.ask("default", ReferencePlan(name, "wine-1"), jobs, request_id=request_id)


@asynccontextmanager
async def working(references: References, jobs: Jobs, key_of=str) -> AsyncIterator[None]:
    """Run the jobs meanwhile."""
    work, claims = FitJobs(references, jobs, key_of), JobWorker(jobs, "worker", 10)

    async def run() -> None:
        while True:
            if await claims.next({FIT_REFERENCE: work.fit}) is None:
                await asyncio.sleep(0.01)

    task = asyncio.create_task(run())
    yield
    task.cancel()
    await asyncio.wait({task})


async def ended(jobs: Jobs, job: Job, state: JobState) -> Job:
    async def reached() -> bool:
        return (await jobs.get(job.id)).state is state

    await until(reached)
    return await jobs.get(job.id)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (ReferencePlan("", ""), "reference_id"),
        (ReferencePlan("../x", ""), "reference_id"),
        (ReferencePlan("A", ""), "reference_id"),
        (ReferencePlan("a", "p" * 129), "product_id"),
    ],
)
def test_what_is_out_of_range_is_named(plan: ReferencePlan, field: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        fits.check(plan)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_reference_has_one_job_at_a_time_and_a_catalog_a_bounded_number(
    db: Database,
) -> None:
    jobs = job_queue(db)
    first = await ask(jobs, request_id="r1")
    assert (await ask(jobs, request_id="r2")).id == first.id
    others = [await ask(jobs, f"b{number}") for number in range(MOST_DRAFTS - 1)]
    assert len({first.id, *(each.id for each in others)}) == MOST_DRAFTS
    with pytest.raises(FitInProgress, match="references"):
        await ask(jobs, "another")
    await jobs.cancel(first.id)
    assert (await ask(jobs, request_id="r1")).id == first.id
    assert (await ask(jobs, request_id="r3")).id != first.id


async def test_a_job_ends_with_the_version_and_its_photos(
    references: References, db: Database
) -> None:
    jobs = job_queue(db)
    await references.add("default", "bottle", PHOTOS, Stages())
    async with working(references, jobs):
        job = await ended(jobs, await ask(jobs), JobState.SUCCEEDED)
        again = await ended(jobs, await ask(jobs), JobState.SUCCEEDED)
    (found,) = await references.listed("default", "bottle")
    assert found.manifest is not None
    assert dict(job.result) == {"reference_id": "bottle", "version": found.manifest.version}
    assert again.result == job.result, "a restarted job returns what was fitted"
    assert found.manifest.product_id == "wine-1"


async def test_a_cancelled_job_ends_and_leaves_the_draft(
    references: References, features: FakePatches, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, begun = job_queue(db), asyncio.Event()
    await references.add("default", "bottle", PHOTOS, Stages())

    async def endless(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(features, "compute", endless)
    async with working(references, jobs):
        job = await ask(jobs)
        await begun.wait()
        await jobs.cancel(job.id)
        await ended(jobs, job, JobState.CANCELLED)
    (draft,) = await references.listed("default", "bottle")
    assert draft.photos == len(PHOTOS)


async def test_a_job_of_a_worker_that_was_killed_is_done_by_the_next(
    references: References, db: Database
) -> None:
    jobs = job_queue(db)
    await references.add("default", "bottle", PHOTOS, Stages())
    job = await ask(jobs)
    assert await jobs.claim([FIT_REFERENCE], "killed", 0.01) is not None
    async with working(references, jobs):
        found = await ended(jobs, job, JobState.SUCCEEDED)
    assert found.attempts == 2


@pytest.mark.parametrize(
    "error",
    [EmbedderUnavailable(), FailedPrecondition("not loaded", reason="MODEL_NOT_READY")],
)
async def test_a_job_waits_for_the_embedder(
    references: References,
    features: FakePatches,
    db: Database,
    error: ServiceError,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fits, "RETRY_SECONDS", 0.01)
    jobs = job_queue(db)
    await references.add("default", "bottle", PHOTOS, Stages())
    features.error = error
    async with working(references, jobs):
        job = await ask(jobs)

        async def begun() -> bool:
            return (await jobs.get(job.id)).total > 0

        await until(begun)
        assert (await jobs.get(job.id)).state is JobState.RUNNING
        features.error = None
        await ended(jobs, job, JobState.SUCCEEDED)


async def test_a_job_fails_with_its_reason(references: References, db: Database) -> None:
    jobs = job_queue(db)
    await references.add("default", "bottle", PHOTOS[:3], Stages())
    async with working(references, jobs):
        job = await ended(jobs, await ask(jobs), JobState.FAILED)
    assert job.error_reason == "REFERENCE_TOO_FEW_PHOTOS"


async def test_a_job_of_a_removed_catalog_touches_no_later_one_of_its_id(
    references: References, db: Database
) -> None:
    jobs = job_queue(db)
    await references.add("default", "bottle", PHOTOS, Stages())
    async with working(references, jobs, key_of=lambda catalog_id: f"{catalog_id}@new"):
        await ended(jobs, await ask(jobs), JobState.CANCELLED)
    (draft,) = await references.listed("default", "bottle")
    assert draft.photos == len(PHOTOS)
