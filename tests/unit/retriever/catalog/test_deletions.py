"""Purges on a real record: counted first, deleted in batches, continued after a kill."""

from __future__ import annotations

import pytest

from retriever.catalog import deletions
from retriever.domain.product import CatalogPart, ProductContent, ProductWrite, Stored
from retriever.record import Record
from retriever.wiring import job_queue
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.sql.database import Database
from sightline_rules.filters import All, Comparison, Filter, Operator
from tests.unit.retriever.conftest import generation, write

ODD = Comparison("brand", Operator.EQUAL, "odd")


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return job_queue(db)


async def stock(record: Record, number: int, catalog: str = "default") -> None:
    writes = [
        ProductWrite(ProductContent(f"p{n:04}", "A wine", brand="odd" if n % 2 else "even"), {})
        for n in range(number)
    ]
    outcomes, _ = await record.write(catalog, writes)
    assert all(isinstance(outcome, Stored) for outcome in outcomes)


async def left(record: Record, catalog: str = "default") -> int:
    return (await record.counts(catalog, None)).products


async def purge(
    record: Record, jobs: Jobs, condition: Filter = ODD, *, force: bool = True, request: str = ""
) -> deletions.Purge:
    return await deletions.purge(
        "default", condition, repr(condition), record, jobs, force=force, request_id=request
    )


async def claimed(jobs: Jobs, seconds: float = 10) -> Job:
    job = await jobs.claim(deletions.KINDS, "worker", seconds)
    assert job is not None
    return job


async def test_without_force_products_are_counted_and_stay(record: Record, jobs: Jobs) -> None:
    await stock(record, 50)
    found = await purge(record, jobs, force=False)
    assert (found.count, len(found.sample), found.job) == (25, 20, None)
    assert set(found.sample) <= {f"p{n:04}" for n in range(1, 50, 2)}
    assert await left(record) == 50
    assert await jobs.list() == ()


@pytest.mark.slow
async def test_a_purge_deletes_what_passes_in_its_catalog_alone(record: Record, jobs: Jobs) -> None:
    await stock(record, 3_001)
    await stock(record, 10, "other")
    found = await purge(record, jobs)
    job = await claimed(jobs)
    assert found.job is not None
    assert (found.count, job.id) == (1_500, found.job.id)
    assert await deletions.delete(job, ODD, record, jobs) == 1_500
    assert (await left(record), await left(record, "other")) == (1_501, 10)
    seen = await jobs.get(job.id)
    assert (seen.done, seen.total) == (1_500, 1_500)


async def test_what_is_written_after_the_purge_was_asked_for_stays(
    record: Record, jobs: Jobs
) -> None:
    await stock(record, 10)
    await purge(record, jobs, All())
    await stock(record, 4)  # as they were
    job = await claimed(jobs)
    assert await deletions.delete(job, All(), record, jobs) == 6
    assert await left(record) == 4


@pytest.mark.full
async def test_a_cancelled_purge_stops_between_two_batches(record: Record, jobs: Jobs) -> None:
    await stock(record, 2_000)
    await purge(record, jobs, All())
    job = await claimed(jobs)
    await jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await deletions.delete(job, All(), record, jobs)
    assert await left(record) == 2_000


@pytest.mark.full
async def test_a_purge_goes_on_where_a_dead_worker_stopped(record: Record, jobs: Jobs) -> None:
    await stock(record, 1_200)
    asked = await purge(record, jobs, All())
    job = await claimed(jobs, seconds=0)
    # The worker dies after a batch, before it could say so.
    before = int(job.params["before"])
    await record.sweep("default", CatalogPart(All(), before, None, deletions.BATCH))
    again = await claimed(jobs)
    assert asked.job is not None
    assert (again.id, again.attempts) == (asked.job.id, 2)
    assert await deletions.delete(again, All(), record, jobs) == 1_200
    assert await left(record) == 0


async def test_a_request_that_is_sent_again_starts_no_second_job(
    record: Record, jobs: Jobs
) -> None:
    await stock(record, 10)
    first = await purge(record, jobs, request="r")
    again = await purge(record, jobs, request="r")
    other = await purge(record, jobs, All(), request="r")
    fresh = await purge(record, jobs)
    ids = [found.job.id for found in (first, again, other, fresh) if found.job]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


async def test_index_rows_of_purged_products_are_taken_away(record: Record, jobs: Jobs) -> None:
    made = await record.create_generation(generation())
    await record.write("default", [write("a", b"photo 1", b"photo 2", brand="odd"), write("b")])
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    await purge(record, jobs, ODD)
    assert await deletions.delete(await claimed(jobs), ODD, record, jobs) == 1
    (change,) = await record.changes(made, 10)
    assert (change.product_id, len(change.removed)) == ("a", 2)
