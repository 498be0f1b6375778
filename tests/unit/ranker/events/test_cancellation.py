"""Writes of events after calls that are cancelled at any await."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

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
