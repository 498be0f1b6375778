"""Writes of events after calls that are cancelled at any await."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from ranker.domain.searches import SearchCount
from ranker.events.searches import FrequentSearches
from ranker.record.group_commit import GroupCommit
from servicekit.sql.database import Database
from tests.cancelling import cancelled_at_each_await


async def test_a_cancelled_write_holds_up_no_other(db: Database) -> None:
    def write(_: Connection, items: Sequence[int]) -> Sequence[int]:
        return items

    writes = GroupCommit[int, int](db, write, 10)

    async def call() -> None:
        other = asyncio.create_task(writes.write([1]))
        try:
            assert await writes.write([2, 3]) == (2, 3)
        finally:
            assert await other == (1,)

    async def check() -> None:
        assert await writes.write([4]) == (4,)
        assert not writes._waiting

    assert await cancelled_at_each_await(call, check) > 0


async def test_searches_are_counted_though_the_first_caller_left() -> None:
    class Reads:
        async def counts(self, _: str, since_micros: int, floor: int) -> Sequence[SearchCount]:
            await asyncio.sleep(0)
            return [SearchCount("red wine", 20)]

    searches = FrequentSearches(Reads(), 20)

    async def call() -> None:
        await searches.of("a")

    async def check() -> None:
        assert len((await searches.of("a")).searches) == 1
        searches._counts.forget("a")

    assert await cancelled_at_each_await(call, check) > 0
