"""The vectors that a backfill makes pending, waits for and removes: on a real record."""

from __future__ import annotations

import asyncio

import pytest

from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.generation import Generation, GenerationState
from retriever.indexing import backfill, generations
from retriever.indexing.generations import GenerationRequest
from retriever.record import Record
from retriever.wiring import job_queue
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.index import FakeIndex
from tests.unit.retriever.conftest import generation, vectors, write
from tests.waiting import SECONDS

PHOTOS = [b"photo %d" % n for n in range(6)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(backfill, "SEARCHES_END_SECONDS", 0.0)
    monkeypatch.setattr(backfill, "WANT", 2)


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return job_queue(db)


@pytest.fixture
async def made(record: Record) -> Generation:
    """Return a second, empty generation of a catalog with five photos."""
    await record.save_offers("default", [EmbeddingSpace("visual", "v2", 8, ready=True)])
    await record.create_generation(generation())
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS[:5])])
    return (
        await generations.create("default", GenerationRequest("visual", "two"), "p", record)
    ).generation


async def claimed(record: Record, jobs: Jobs, worker: str = "w") -> Job:
    await generations.backfill("default", "two", record, jobs, request_id="")
    job = await jobs.claim((generations.BACKFILL,), worker, 60)
    assert job is not None
    return job


async def hold(record: Record, made: Generation, *photos: bytes) -> None:
    """Run the worker's other loops: embed, apply, compare."""
    await record.save_vectors(made, vectors(*photos))
    await record.mark(made, check_wanted=False)
    for change in await record.changes(made, 100):
        await record.advance(made, change)


async def until(record: Record, made: Generation, waiting: int) -> None:
    async with asyncio.timeout(SECONDS):
        while (await record.backlog(made)).waiting != waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_backfill_ends_when_the_index_holds_all_and_the_generation_is_ready(
    record: Record, made: Generation, jobs: Jobs
) -> None:
    job = await claimed(record, jobs)
    running = asyncio.create_task(backfill.backfill(job, record, jobs))
    await until(record, made, 5)
    await record.write("default", [write("live", PHOTOS[5])])
    await hold(record, made, *PHOTOS[:3])
    await until(record, made, 2)
    await asyncio.sleep(0.05)
    seen = await jobs.get(job.id)
    assert (seen.done, seen.total) == (3, 5)
    assert not running.done()
    await record.give_up(made, [image_id(PHOTOS[3])], "IMAGE_UNDECODABLE")
    await hold(record, made, PHOTOS[4])
    assert await running == {"photo_count": 5, "failing_count": 1}
    assert (await record.find_generation("default", "two")).state is GenerationState.READY
    assert [item.item_id for item in await record.due(made, 10)] == [image_id(PHOTOS[5])]


async def test_it_does_not_end_before_the_engine_has_what_was_embedded(
    record: Record, made: Generation, jobs: Jobs
) -> None:
    running = asyncio.create_task(backfill.backfill(await claimed(record, jobs), record, jobs))
    await until(record, made, 5)
    await record.save_vectors(made, vectors(*PHOTOS[:5]))
    await asyncio.sleep(0.1)
    assert not running.done()
    await hold(record, made, *PHOTOS[:5])
    await running


async def test_a_cancelled_backfill_takes_back_what_waits_for_it_alone(
    record: Record, made: Generation, jobs: Jobs
) -> None:
    await record.write("default", [write("live", PHOTOS[5])])
    job = await claimed(record, jobs)
    running = asyncio.create_task(backfill.backfill(job, record, jobs))
    await until(record, made, 5)
    await hold(record, made, PHOTOS[0])
    await record.write("default", [write("p1", PHOTOS[1], title="written anew")])
    await jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await running
    left = {item.item_id for item in await record.due(made, 10)}
    assert left == {image_id(PHOTOS[5]), image_id(PHOTOS[1])}
    assert await record.row_count(made) == 1  # what is embedded stays
    assert (await record.find_generation("default", "two")).state is GenerationState.BUILDING


async def test_one_that_died_goes_on_and_does_nothing_twice(
    record: Record, made: Generation, jobs: Jobs, db: Database
) -> None:
    job = await claimed(record, jobs)
    running = asyncio.create_task(backfill.backfill(job, record, jobs))
    await until(record, made, 5)
    running.cancel()
    await hold(record, made, *PHOTOS[:4])
    await record.give_up(made, [image_id(PHOTOS[4])], "IMAGE_UNDECODABLE")
    later = Jobs(db, jobs._t, clock=lambda: jobs._clock() + 10**9)
    again = await later.claim((generations.BACKFILL,), "another", 60)
    assert again is not None
    assert (again.id, again.attempts) == (job.id, 2)
    assert await backfill.backfill(again, record, later) == {
        "photo_count": 5,
        "failing_count": 1,
    }
    assert await record.due(made, 10) == []


async def test_a_new_backfill_tries_again_what_was_given_up(
    record: Record, made: Generation, jobs: Jobs
) -> None:
    await record.write("default", [write("live", PHOTOS[5])])
    await record.give_up(made, [image_id(PHOTOS[5])], "IMAGE_DAMAGED")
    running = asyncio.create_task(backfill.backfill(await claimed(record, jobs), record, jobs))
    await until(record, made, 6)
    await hold(record, made, *PHOTOS)
    assert (await running)["failing_count"] == 0


async def test_clearing_up_drops_collection_and_vectors(
    record: Record, made: Generation, jobs: Jobs
) -> None:
    index = FakeIndex()
    await index.create(made.collection, 8)
    await hold(record, made, *PHOTOS[:5])
    await generations.drop("default", "two", record, jobs)
    job = await jobs.claim((generations.DROP,), "w", 60)
    assert job is not None
    assert await backfill.clear(job, record, index, jobs) == {"deleted_count": 5}
    assert index.rows == {}
    assert await backfill.clear(job, record, index, jobs) == {"deleted_count": 0}
