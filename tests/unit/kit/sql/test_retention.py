"""Deletion of jobs that ended long ago."""

from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from servicekit.sql.retention import forget_jobs
from tests.fakes.kit_clock import Clock
from tests.fakes.kit_store import JOBS

DAY = 86_400.0


async def test_only_jobs_that_ended_long_enough_ago_are_deleted(db: Database, clock: Clock) -> None:
    board = Jobs(db, JOBS, clock=clock)
    done, waiting, running = [
        (await board.create(kind, "default", {}, f"request of {kind}")).id
        for kind in ("done", "waiting", "running")
    ]
    claimed = await board.claim(["done"], "w", 30)
    assert claimed is not None
    await board.finish(claimed)
    await board.claim(["running"], "w", 30)
    clock.skip(2 * DAY)
    late = await board.create("late", "default", {})
    await board.cancel(late.id)
    clock.skip(DAY)
    assert await forget_jobs(db, JOBS, 0, clock) == 0
    assert await forget_jobs(db, JOBS, 4, clock) == 0
    assert await forget_jobs(db, JOBS, 2.5, clock) == 1
    left = {job.id for job in await board.list()}
    assert left == {waiting, running, late.id}
    again = await board.create("done", "default", {}, "request of done")
    assert again.id != done
