"""On PostgreSQL processes write in parallel, and wait for one another's locks."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import Connection

from servicekit import sql
from servicekit.sql import Database, StoreUnavailable
from tests.stores import NewStore, only_postgresql
from tests.waiting import SECONDS

MIGRATIONS = "ranker.events.record.migrations"


@only_postgresql
async def test_a_write_whose_process_stands_still_holds_nobody_up(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "WRITE_SECONDS", 1)
    url = new_store(MIGRATIONS, "ranker.db")
    still, other = (Database(url, migrations=MIGRATIONS) for _ in range(2))
    locks, goes_on = threading.Event(), threading.Event()

    def lock(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")

    def stand_still(connection: Connection) -> None:
        lock(connection)
        locks.set()
        goes_on.wait(SECONDS)
        lock(connection)

    standing = asyncio.create_task(still.write(stand_still))
    assert await asyncio.to_thread(locks.wait, SECONDS)
    try:
        async with asyncio.timeout(SECONDS / 2):
            await other.write(lock)
    finally:
        goes_on.set()
    with pytest.raises(StoreUnavailable):
        await standing
    await still.write(lock)
    for each in (still, other):
        each.close()
