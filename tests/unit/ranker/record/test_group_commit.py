"""Batches of several callers share a transaction, but neither order nor errors."""

import asyncio
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from ranker.domain.events import Written
from ranker.record.events import EventRecord
from ranker.record.group_commit import GroupCommit
from ranker.record.tables import EVENTS, MIGRATIONS
from servicekit.sql.database import Database, StoreFull
from tests.fakes.ranker import stored
from tests.stores import address


class Ledger:
    """Record of the content of each transaction; rejects `bad`, and everything while `full`."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.full = False

    def __call__(self, connection: sa.Connection, items: Sequence[str]) -> list[str]:
        if self.full:
            raise StoreFull
        if "bad" in items:
            raise ValueError("a bad one")
        self.transactions.append(list(items))
        return [item.upper() for item in items]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def joined(db: Database, ledger: Ledger) -> GroupCommit[str, str]:
    return GroupCommit(db, ledger, most=4)


async def test_what_comes_in_meanwhile_shares_the_next_transaction_in_its_order(
    joined: GroupCommit[str, str], ledger: Ledger
) -> None:
    writes = [asyncio.create_task(joined.write([name])) for name in "abcd"]
    assert await asyncio.gather(*writes) == [("A",), ("B",), ("C",), ("D",)]
    assert [one for each in ledger.transactions for one in each] == list("abcd")
    assert len(ledger.transactions) < 4


async def test_a_transaction_holds_no_more_than_it_may_or_one_large_batch(
    joined: GroupCommit[str, str], ledger: Ledger
) -> None:
    batches = ["ab", "cd", "ef", "ghijkl", "m"]
    await asyncio.gather(*(joined.write(list(batch)) for batch in batches))
    assert ["".join(one) for one in ledger.transactions] == ["abcd", "ef", "ghijkl", "m"]


async def test_a_batch_that_is_refused_fails_alone(
    joined: GroupCommit[str, str], ledger: Ledger
) -> None:
    writes = (joined.write([name]) for name in ("a", "bad", "c"))
    first, second, third = await asyncio.gather(*writes, return_exceptions=True)
    assert (first, third) == (("A",), ("C",))
    assert isinstance(second, ValueError)


async def test_a_full_disk_is_reported_to_all_and_the_next_write_goes_through(
    joined: GroupCommit[str, str], ledger: Ledger
) -> None:
    ledger.full = True
    found = await asyncio.gather(*map(joined.write, ["a", "b"]), return_exceptions=True)
    assert [type(one) for one in found] == [StoreFull, StoreFull]
    ledger.full = False
    assert await joined.write(["c"]) == ("C",)


async def test_a_caller_who_gives_up_takes_nobody_along(
    joined: GroupCommit[str, str], ledger: Ledger
) -> None:
    gone = asyncio.create_task(joined.write(["gone"]))
    stays = asyncio.create_task(joined.write(["stays"]))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == ("STAYS",)


async def test_two_processes_that_write_one_event_at_once_count_it_once(db: Database) -> None:
    neighbour = Database(address(db), migrations=MIGRATIONS)
    one, other = EventRecord(db), EventRecord(neighbour)
    batches = [[stored(f"e{n}") for n in range(start, start + 50)] for start in (0, 25)]
    first, second = await asyncio.gather(one.append(batches[0]), other.append(batches[1]))
    assert (*first, *second).count(Written.NEW) == 75
    neighbour.close()
    count = sa.select(sa.func.count()).select_from(EVENTS)
    assert await db.read(lambda connection: connection.execute(count).scalar()) == 75
