"""On PostgreSQL processes write in parallel, and wait for one another's locks; a write that comes
too early is refused in tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection

from servicekit.sql import database
from servicekit.sql import locks as sql_locks
from servicekit.sql.database import Database, StoreUnavailable
from tests.late_locks import LockedLate
from tests.stores import NewStore, only_postgresql
from tests.waiting import SECONDS

MIGRATIONS = "ranker.record.migrations"


@only_postgresql
async def test_a_write_whose_process_stands_still_holds_nobody_up(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WRITE_SECONDS", 1)
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


def _writing(*statements: str) -> Callable[[Connection], None]:
    """Return the work of a service that runs these statements; "lock": takes a lock."""
    code = "def work(connection):\n" + "".join(
        f"    connection.exec_driver_sql({each!r})\n"
        if each != "lock"
        else "    lock(connection)\n"
        for each in statements
    )
    found: dict[str, Any] = {"lock": lambda connection: sql_locks.lock(connection, "a")}
    exec(compile(code, "/services/work.py", "exec"), found)  # noqa: S102 - a file of a service
    work: Callable[[Connection], None] = found["work"]
    return work


READ = "SELECT count(*) FROM leases"
LEASE, ALIAS = "DELETE FROM leases", "DELETE FROM aliases"


@pytest.mark.parametrize(
    "statements", [(READ, LEASE), (READ, "lock", LEASE), (LEASE, ALIAS), (LEASE, "lock", ALIAS)]
)
async def test_a_write_that_follows_what_was_done_without_a_lock_is_refused(
    db: Database, statements: Sequence[str], late_locks: list[LockedLate]
) -> None:
    with pytest.raises(LockedLate, match="needs a lock"):
        await db.write(_writing(*statements))
    assert len(late_locks) == 1, "it is told even if a caller ignores the error"
    late_locks.clear()


@pytest.mark.parametrize(
    "statements",
    [("lock", READ, LEASE, ALIAS), (LEASE, LEASE, READ), (READ, "lock", READ), (LEASE,), (READ,)],
)
async def test_a_write_after_its_lock_or_in_one_statement_is_not(
    db: Database, statements: Sequence[str]
) -> None:
    await db.write(_writing(*statements))


@pytest.fixture
def db(new_store: NewStore) -> Iterator[Database]:
    made = Database(new_store(MIGRATIONS, "ranker.db"), migrations=MIGRATIONS)
    yield made
    made.close()


@only_postgresql
async def test_a_lock_excludes_its_name_alone_and_shared_ones_not_each_other(
    db: Database,
) -> None:
    other = Database(db.engine.url.render_as_string(hide_password=False), migrations=MIGRATIONS)
    free = list[bool]()

    def beside(connection: Connection) -> None:
        free.append(sql_locks.lock_if_free(connection, "a"))
        free.append(sql_locks.lock_if_free(connection, "b"))
        sql_locks.lock(connection, "shared", shared=True)

    loop = asyncio.get_running_loop()

    def first(connection: Connection) -> None:
        sql_locks.lock(connection, "a")
        sql_locks.lock(connection, "shared", shared=True)
        asyncio.run_coroutine_threadsafe(other.write(beside), loop).result(SECONDS)

    await db.write(first)
    await other.write(beside)
    assert free == [False, True, True, True]
    other.close()
