"""Reads in the caller's own thread, and detection of later writes."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql.database import Database, StoreBusy, StoreDamaged, StoreUnavailable
from tests.fakes.kit_store import MIGRATIONS, SHELF
from tests.stores import NewStore, address, only_postgresql, only_sqlite
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[4]

WRITER = """
import asyncio, sys
import sqlalchemy as sa
from servicekit.sql.database import Database
from tests.fakes.kit_store import MIGRATIONS, SHELF

async def main():
    db = Database(sys.argv[1], migrations=MIGRATIONS)
    for line in sys.stdin:
        name, keep = line.split()
        def work(connection):
            connection.execute(sa.insert(SHELF).values(id=name))
            if keep == "no":
                raise KeyError
        try:
            await db.write(work)
        except KeyError:
            pass
        print(name, flush=True)
    db.close()

asyncio.run(main())
"""


class Writer:
    """Another process that has the same store open."""

    def __init__(self, db: Database) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, address(db)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def write(self, name: str, keep: bool = True) -> None:
        """Write a shelf, or take it back; returns once that is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(name, "yes" if keep else "no", file=self.process.stdin, flush=True)
        assert self.process.stdout.readline().strip() == name

    def stop(self) -> None:
        self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0


@pytest.fixture
def db(new_store: NewStore) -> Iterator[Database]:
    made = Database(new_store(MIGRATIONS, "store.db"), migrations=MIGRATIONS)
    yield made
    made.close()


def names(connection: Connection) -> set[str]:
    return {row.id for row in connection.execute(sa.select(SHELF)) if row.id != "old"}


def add(connection: Connection, name: str = "new") -> None:
    connection.execute(sa.insert(SHELF).values(id=name))


@pytest.mark.full
@pytest.mark.slow
@only_sqlite
async def test_a_read_here_sees_what_any_process_has_just_committed(db: Database) -> None:
    assert db.local
    assert db.read_local(names) == set()
    writers = [Writer(db), Writer(db)]
    expected = set()
    for turn in range(10):
        for number, writer in enumerate(writers):
            writer.write(f"{number}-{turn}")
            expected.add(f"{number}-{turn}")
            assert db.read_local(names) == expected
        await db.write(lambda c, turn=turn: add(c, f"own-{turn}"))  # type: ignore[misc]
        expected.add(f"own-{turn}")
        assert db.read_local(names) == expected
    for writer in writers:
        writer.stop()
    assert db.read_local(names) == expected


@pytest.mark.full
@pytest.mark.slow
@only_sqlite
async def test_the_version_changes_exactly_when_any_process_commits(db: Database) -> None:
    writers = [Writer(db), Writer(db)]
    seen = [db.version()]
    for turn in range(5):
        for number, writer in enumerate(writers):
            writer.write(f"{number}-{turn}-not", keep=False)
            db.read_local(names)
            await db.read(names)
            assert db.version() == seen[-1], "nothing was committed"
            writer.write(f"{number}-{turn}")
            seen.append(db.version())
    await db.write(add)
    seen.append(db.version())
    for writer in writers:
        writer.stop()
    assert None not in seen
    assert len(set(seen)) == len(seen)


@pytest.mark.full
@pytest.mark.slow
@only_sqlite
async def test_what_is_kept_while_the_version_stays_is_never_old(db: Database) -> None:
    """Run a reader with a cache beside two processes that write."""
    writers = [Writer(db), Writer(db)]
    done: set[str] = set()

    def write(writer: Writer, name: str) -> None:
        for turn in range(60):
            writer.write(f"{name}{turn}")
            done.add(f"{name}{turn}")

    writing = [asyncio.to_thread(write, w, n) for w, n in zip(writers, "ab", strict=True)]
    both = asyncio.gather(*writing)
    kept, version, reads, looks = set[str](), -1, 0, 0
    while not both.done():
        acknowledged = set(done)
        if (now := db.version()) != version:
            assert now is not None
            kept, version, reads = db.read_local(names), now, reads + 1
        assert acknowledged <= kept
        looks += 1
        await asyncio.sleep(0)
    await both
    for writer in writers:
        writer.stop()
    assert looks > reads > 1


@only_sqlite
async def test_within_a_read_here_the_version_is_that_of_what_it_sees(db: Database) -> None:
    other = Database(address(db), migrations=MIGRATIONS)
    committed = threading.Event()

    def write() -> None:
        asyncio.run(other.write(add))
        committed.set()

    def work(connection: Connection) -> tuple[int | None, set[str], int | None]:
        before = db.version()
        threading.Thread(target=write).start()
        assert committed.wait(SECONDS)
        return before, names(connection), db.version()

    before, found, after = db.read_local(work)
    other.close()
    assert before == after
    assert found == set()
    assert db.version() != before
    assert db.read_local(names) == {"new"}


@only_sqlite
def test_a_read_here_can_not_write_and_fails_without_a_trace(db: Database) -> None:
    with pytest.raises(StoreUnavailable):
        db.read_local(add)
    with pytest.raises(KeyError):
        db.read_local(lambda c: {}[len(names(c))])  # type: ignore[misc]
    assert db.read_local(names) == set()


@only_sqlite
async def test_a_read_here_that_fails_keeps_no_old_state(db: Database) -> None:
    await db.write(lambda c: [add(c, name) for name in "abc"])

    def fail(connection: Connection) -> None:
        rows = iter(connection.execute(sa.select(SHELF)))
        next(rows)
        raise KeyError("on purpose")

    with pytest.raises(KeyError) as held:
        db.read_local(fail)
    await db.write(add)
    assert db.read_local(names) == {*"abc", "new"}
    assert held.value.args


@only_sqlite
def test_threads_take_turns_to_read_here(db: Database) -> None:
    together = threading.Barrier(4, timeout=SECONDS)
    found = []

    def read() -> None:
        together.wait()
        for _ in range(200):
            db.version()
            found.append(db.read_local(names))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert found == [set()] * 800


@only_sqlite
def test_a_file_opened_anew_has_another_version(db: Database) -> None:
    """Reopen the file: SQLite counts per connection, so equal numbers may mean different states."""
    before = db.version()
    with pytest.raises(StoreUnavailable):
        db.read_local(add)
    assert db.version() != before


def test_a_store_that_is_missing_or_damaged_is_reported_as_such(tmp_path: Path) -> None:
    missing = Database(f"sqlite:///{tmp_path}/none.db", migrations=MIGRATIONS)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            missing.read_local(names)
    assert not (tmp_path / "none.db").exists()
    missing.migrate()
    assert missing.read_local(names) == set()
    missing.close()

    (tmp_path / "damaged.db").write_bytes(b"this is no database " * 500)
    damaged = Database(f"sqlite:///{tmp_path}/damaged.db", migrations=MIGRATIONS)
    with pytest.raises(StoreDamaged):
        damaged.read_local(names)
    damaged.close()


@only_sqlite
def test_a_store_that_one_process_keeps_to_itself_is_busy_at_once(db: Database) -> None:
    alone = sqlite3.connect(db.engine.url.database or "")
    alone.execute("PRAGMA locking_mode=EXCLUSIVE")
    alone.execute("INSERT INTO shelf (id) VALUES ('alone')")
    alone.commit()
    with pytest.raises(StoreBusy):
        db.read_local(names)
    assert db.version() is None
    alone.close()
    assert db.read_local(names) == {"alone"}


@pytest.mark.full
@only_postgresql
async def test_postgresql_is_read_in_threads_and_has_no_version(new_store: NewStore) -> None:
    db = Database(
        new_store("ranker.record.migrations", ""),
        migrations="ranker.record.migrations",
    )

    def scratch(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE scratch AS SELECT 7 AS kept")

    assert not db.local
    assert db.version() is None
    with pytest.raises(RuntimeError):
        db.read_local(lambda c: c.exec_driver_sql("SELECT 1"))
    await db.write(scratch)
    kept = await db.read(lambda c: c.exec_driver_sql("SELECT kept FROM scratch").scalar_one())
    assert kept == 7
    assert db.version() is None
    db.close()
