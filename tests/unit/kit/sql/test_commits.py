"""Processes that wait for commits are woken by each of them, and by nothing else."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql import commits
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease, leases_table
from tests.waiting import SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify")

QUIET_SECONDS = 0.2
OTHER = """
import asyncio, sys
from servicekit.sql.database import Database
database = Database(sys.argv[1], migrations="")
asyncio.run(database.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (1)")))
database.close()
"""


def insert(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO t VALUES (1)")


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/record.db", migrations="")

    def create(connection: Connection) -> Any:
        connection.exec_driver_sql("CREATE TABLE t (x)")
        leases_table(metadata := sa.MetaData())
        metadata.create_all(connection)

    await database.write(create)
    yield database
    database.close()


async def is_set(event: asyncio.Event, seconds: float = SECONDS) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def test_each_commit_wakes_all_who_wait(db: Database) -> None:
    first, second = db.commits(), db.commits()
    assert first is not None
    assert second is not None
    for _ in range(3):
        await db.write(insert)
        assert await is_set(first)
        assert await is_set(second)
        first.clear()
        second.clear()


@pytest.mark.full
async def test_another_process_wakes_them_too(db: Database, tmp_path: Path) -> None:
    event = db.commits()
    assert event is not None
    url = f"sqlite:///{tmp_path}/record.db"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER, url)
    assert await process.wait() == 0
    assert await is_set(event)


async def test_reads_failed_writes_and_leases_wake_no_one(db: Database) -> None:
    event = db.commits()
    assert event is not None
    await db.read(lambda connection: connection.exec_driver_sql("SELECT * FROM t").all())
    with pytest.raises(sa.exc.OperationalError):
        await db.write(lambda connection: connection.exec_driver_sql("INSERT INTO u VALUES (1)"))
    lease = Lease(db, "leader", "me", 10.0)
    assert await lease.acquire()
    assert await lease.renew()
    assert not await is_set(event, QUIET_SECONDS)


async def test_a_commit_during_the_pause_after_a_notice_is_noticed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "PAUSE_SECONDS", QUIET_SECONDS)
    event = db.commits()
    assert event is not None
    await db.write(insert)
    assert await is_set(event)
    event.clear()
    await db.write(insert)
    assert await is_set(event)


async def test_where_the_system_reports_no_commits_there_is_no_event(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "_watch", lambda folder: -1)
    assert db.commits() is None
