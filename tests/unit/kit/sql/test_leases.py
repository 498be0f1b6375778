"""One owner at a time."""

from servicekit.sql.database import Database
from servicekit.sql.leases import Lease, worker_id
from tests.fakes.kit_clock import Clock


async def test_a_lease_has_one_owner_until_its_time_is_up(db: Database, clock: Clock) -> None:
    mine = Lease(db, "index-writer", "w1", 10, clock=clock)
    theirs = Lease(db, "index-writer", "w2", 10, clock=clock)
    assert await mine.acquire()
    assert await mine.acquire()
    assert not await theirs.acquire()
    clock.skip(9)
    assert await mine.renew()
    clock.skip(9)
    assert not await theirs.acquire()
    clock.skip(2)
    assert await theirs.acquire()
    assert not await mine.renew()
    assert not await mine.acquire()


async def test_a_lease_that_ran_out_is_not_renewed_even_if_nobody_took_it(
    db: Database, clock: Clock
) -> None:
    mine = Lease(db, "index-writer", "w1", 10, clock=clock)
    assert await mine.acquire()
    clock.skip(11)
    assert not await mine.renew()


async def test_a_released_lease_is_free_and_only_its_owner_can_release_it(
    db: Database, clock: Clock
) -> None:
    mine = Lease(db, "index-writer", "w1", 10, clock=clock)
    theirs = Lease(db, "index-writer", "w2", 10, clock=clock)
    assert await mine.acquire()
    await theirs.release()
    assert not await theirs.acquire()
    await mine.release()
    assert await theirs.acquire()


async def test_leases_of_other_names_do_not_meet(db: Database) -> None:
    assert await Lease(db, "a", "w1", 10).acquire()
    assert await Lease(db, "b", "w2", 10).acquire()


def test_two_workers_have_different_ids() -> None:
    assert worker_id("w") != worker_id("w")
