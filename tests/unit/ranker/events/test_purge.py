import asyncio
from collections.abc import Callable

import pytest

from ranker.domain.events import EventType
from ranker.domain.selection import PurgeCount, Purged, PurgePlace, Selection, request_key
from ranker.events import purge
from ranker.record.tables import JOBS
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.jobs.worker import JobLeft
from servicekit.sql.database import Database, StoreBusy
from tests.fakes.ranker import NOW

SELECTION = Selection("default", before_micros=NOW, types=(EventType.VIEW,), actor="a" * 64)


class FakePurger:
    """Purger that selects `count` events, and deletes two in each batch."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.selections: list[Selection] = []
        self.failures: list[Exception] = []
        self.on_batch: Callable[[], None] = lambda: None

    async def count(self, selection: Selection) -> PurgeCount:
        self.selections.append(selection)
        return PurgeCount(self.events, None, None, 0)

    async def delete(self, selection: Selection, place: PurgePlace, limit: int) -> Purged:
        if self.failures:
            raise self.failures.pop(0)
        gone = min(2, self.events)
        self.events -= gone
        self.on_batch()
        return Purged(gone, PurgePlace() if self.events else None)


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return Jobs(db, JOBS)


async def claimed(jobs: Jobs, count: int) -> Job:
    """Return a job over this many events that this process has claimed."""
    params = purge.params(SELECTION, PurgeCount(count, None, None, 7))
    await jobs.create(purge.PURGE, "default", params)
    job = await jobs.claim((purge.PURGE,), "me", 30)
    assert job is not None
    return job


async def test_all_that_was_counted_goes_and_the_job_says_how_far_it_is(jobs: Jobs) -> None:
    job, purger, seen = await claimed(jobs, 5), FakePurger(5), []
    look = asyncio.get_running_loop().create_task
    purger.on_batch = lambda: seen.append(look(jobs.get(job.id)))
    assert await purge.run(job, purger, jobs, asyncio.Event()) == {"deleted_count": "5"}
    assert [(one.done, one.total) for one in await asyncio.gather(*seen)][-1] in {(4, 5), (5, 5)}
    last = await jobs.get(job.id)
    assert (last.done, last.total) == (5, 5)


async def test_the_job_deletes_what_was_counted_and_not_what_came_in_later(jobs: Jobs) -> None:
    purger = FakePurger(1)
    await purge.run(await claimed(jobs, 1), purger, jobs, asyncio.Event())
    (selection,) = purger.selections
    assert selection == Selection(
        "default", NOW, (EventType.VIEW,), actor="a" * 64, last_sequence=7
    )


async def test_taken_up_again_it_goes_on_where_it_was(jobs: Jobs) -> None:
    job = await claimed(jobs, 9)
    assert await purge.run(job, FakePurger(3), jobs, asyncio.Event()) == {"deleted_count": "9"}


async def test_cancelled_it_stops_after_the_batch_it_is_at(jobs: Jobs) -> None:
    job, purger = await claimed(jobs, 10), FakePurger(10)
    await jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await purge.run(job, purger, jobs, asyncio.Event())
    assert purger.events == 10


async def test_a_stopping_worker_leaves_the_rest(jobs: Jobs) -> None:
    job, purger, stop = await claimed(jobs, 10), FakePurger(10), asyncio.Event()
    purger.on_batch = stop.set
    with pytest.raises(JobLeft):
        await purge.run(job, purger, jobs, stop)
    assert purger.events == 8


async def test_a_busy_store_is_waited_for(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BUSY_PAUSE", 0.01)
    job, purger = await claimed(jobs, 3), FakePurger(3)
    purger.failures = [StoreBusy(), StoreBusy()]
    assert await purge.run(job, purger, jobs, asyncio.Event()) == {"deleted_count": "3"}


def test_a_request_asked_again_is_the_same_job_and_another_purge_under_its_id_is_not() -> None:
    key = request_key("r1", SELECTION)
    assert key == request_key("r1", SELECTION)
    assert key != request_key("r1", Selection("default", product_id="p"))
    assert key != request_key("r2", SELECTION)
    assert request_key("", SELECTION) == ""
