import asyncio
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from servicekit.admission.access import about
from servicekit.sql import database, revisions
from servicekit.sql.database import Database, StoreBusy, StoreDamaged, StoreFull, StoreUnavailable
from tests.fakes.kit_store import BOTTLE, METADATA, MIGRATIONS, SHELF
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[4]


def open_at(file: Path, **options: int | float) -> Database:
    return Database(f"sqlite:///{file}", migrations=MIGRATIONS, **options)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "not" / "yet" / "there" / "store.db"


@pytest.fixture
def db(file: Path) -> Iterator[Database]:
    made = open_at(file, busy_seconds=0.2)
    made.migrate()
    yield made
    made.close()


def add(name: str) -> sa.Insert:
    return sa.insert(SHELF).values(id=name)


async def put(db: Database, name: str) -> None:
    await db.write(lambda c: c.execute(add(name)))


def names(connection: Connection) -> set[str]:
    return {row.id for row in connection.execute(sa.select(SHELF)) if row.id != "old"}


async def test_every_pooled_connection_is_durable_and_checks_references(file: Path) -> None:
    db = open_at(file, threads=5)
    db.migrate()
    all_open = threading.Barrier(6, timeout=SECONDS)

    def settings(connection: Connection) -> tuple[int, str, int, int, int]:
        all_open.wait()
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        return (id(connection.connection.dbapi_connection), *pragma.values())

    seen = await asyncio.gather(*(db.read(settings) for _ in range(5)), db.write(settings))
    db.close()
    assert len({identity for identity, *_ in seen}) == 6
    assert {tuple(rest) for _, *rest in seen} == {("wal", 2, 1, 5000)}


@pytest.mark.slow
async def test_an_acknowledged_write_survives_kill_minus_nine(file: Path) -> None:
    db = open_at(file)
    db.migrate()
    db.close()
    script = (
        "import asyncio, sys\n"
        "from tests.unit.kit.sql.test_database import add, open_at, Path\n"
        "async def main():\n"
        "    db = open_at(Path(sys.argv[1]))\n"
        "    for i in range(10**6):\n"
        "        await db.write(lambda c: c.execute(add(str(i))) and None)\n"
        "        print(i, flush=True)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(file), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    acknowledged = [(await process.stdout.readline()).strip().decode() for _ in range(40)]
    process.kill()
    acknowledged += (await process.stdout.read()).decode().split()
    await process.wait()
    db = open_at(file)
    kept = await db.read(names)
    db.close()
    assert len(acknowledged) >= 40
    assert set(acknowledged) <= kept


async def test_a_hundred_writes_at_once_all_succeed(db: Database) -> None:
    await asyncio.gather(*(put(db, f"{i}") for i in range(100)))
    assert len(await db.read(names)) == 100


async def test_two_processes_may_write_at_once(file: Path) -> None:
    first, second = open_at(file), open_at(file)
    first.migrate()
    await asyncio.gather(
        *(put(db, f"{name}{i}") for name, db in (("a", first), ("b", second)) for i in range(40))
    )
    assert len(await first.read(names)) == 80
    first.close()
    second.close()


async def test_a_write_that_fails_leaves_nothing(db: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(add("half"))
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        await db.write(fail)
    assert await db.read(names) == set()


async def test_work_that_fails_while_it_reads_holds_nothing_that_others_need(db: Database) -> None:
    for name in ("a", "b"):
        await put(db, name)
    busy = sqlite3.OperationalError("on purpose")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY

    def read(connection: Connection) -> None:
        rows = iter(connection.execute(sa.select(SHELF)))
        next(rows)
        raise KeyError("on purpose")

    def busy_while_it_reads(connection: Connection) -> None:
        rows = iter(connection.execute(sa.select(SHELF)))
        next(rows)
        raise OperationalError("", None, busy)

    def read_within(connection: Connection) -> None:
        try:
            read(connection)
        except KeyError:
            raise ValueError from None

    held = []  # as a log or a collector that has not run would
    for call in (db.write, db.read):
        for fail in (read, busy_while_it_reads, read_within):
            with pytest.raises((KeyError, ValueError, StoreBusy)) as caught:
                await call(fail)
            held.append(caught)
    await db.write(lambda c: c.exec_driver_sql("DROP TABLE shelf"))
    assert len(held) == 6


async def test_a_write_is_prepared_in_its_thread_before_it_locks_the_store(
    db: Database, file: Path
) -> None:
    threads = list[int]()

    def prepare() -> None:
        threads.append(threading.get_ident())
        other = sqlite3.connect(file, timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # fails while a transaction writes
        other.close()

    await db.write(lambda _: threads.append(threading.get_ident()), before=prepare)
    assert threads[0] == threads[1] != threading.get_ident()


async def test_a_read_sees_one_state_although_a_write_comes_between(db: Database) -> None:
    began, written = threading.Event(), threading.Event()

    def twice(connection: Connection) -> tuple[int, int]:
        first = len(names(connection))
        began.set()
        assert written.wait(SECONDS)
        return first, len(names(connection))

    reading = asyncio.create_task(db.read(twice))
    await asyncio.to_thread(began.wait, SECONDS)
    await db.write(lambda c: c.execute(add("new")))
    written.set()
    assert await reading == (0, 0)
    assert await db.read(names) == {"new"}


async def test_every_commit_makes_another_version_whoever_makes_it(
    db: Database, file: Path
) -> None:
    def failing(connection: Connection) -> None:
        connection.execute(add("never"))
        raise RuntimeError

    seen = [db.version()]
    await db.read(names)
    with pytest.raises(RuntimeError):
        await db.write(failing)
    assert [db.version()] == seen
    await put(db, "a")
    seen.append(db.version())
    other = open_at(file)
    await put(other, "b")
    other.close()
    seen.append(db.version())
    assert None not in seen
    assert len(set(seen)) == 3


async def test_a_version_that_is_not_known_is_none(damaged: Path, tmp_path: Path) -> None:
    for made in (open_at(damaged), open_at(tmp_path / "none" / "store.db")):
        assert made.version() is None
        made.close()
    assert not (tmp_path / "none" / "store.db").exists()


async def test_a_write_blocked_by_another_process_is_busy_and_says_when_to_return(
    db: Database, file: Path
) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy) as caught:
        await db.write(lambda c: c.execute(add("late")))
    other.close()
    assert caught.value.reason == "STORE_BUSY"
    assert caught.value.retry_after
    await db.write(lambda c: c.execute(add("later")))


async def test_a_full_disk_is_reported_as_such_and_the_store_lives_on(db: Database) -> None:
    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=20")
        connection.execute(add("x" * 1_000_000))

    with pytest.raises(StoreFull) as caught:
        await db.write(fill)
    assert caught.value.reason == "STORE_FULL"
    assert await db.read(names) == set()


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    file = tmp_path / "damaged.db"
    file.write_bytes(b"this is no database " * 500)
    return file


async def test_a_damaged_file_is_reported_as_such(damaged: Path) -> None:
    db = open_at(damaged)
    with pytest.raises(StoreDamaged):
        await db.read(names)
    with pytest.raises(StoreDamaged):
        db.migrate()
    db.close()


async def test_a_file_that_can_not_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    db = open_at(tmp_path / "folder.db")
    with pytest.raises(StoreUnavailable):
        await db.read(names)
    db.close()


async def test_what_breaks_a_constraint_passes_as_it_is(db: Database) -> None:
    dangling = sa.insert(BOTTLE).values(id=9, shelf_id="none", label="")
    with pytest.raises(IntegrityError):
        await db.write(lambda c: c.execute(dangling))


def test_a_start_without_pending_migrations_does_not_read_all_rows(file: Path) -> None:
    db = open_at(file)
    db.migrate()
    db.close()
    with sqlite3.connect(file) as connection:  # enforces no references
        connection.execute("INSERT INTO bottle (id, shelf_id, label) VALUES (9, 'none', '')")
    again = open_at(file)
    again.migrate()  # with a check of all rows, this would be refused
    again.close()


async def test_too_many_calls_at_once_are_turned_away(file: Path) -> None:
    db = open_at(file, threads=1, max_waiting=3)
    db.migrate()
    go_on = threading.Event()
    held = [asyncio.create_task(db.read(lambda _: go_on.wait(SECONDS))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusy):
        await db.read(names)
    go_on.set()
    await asyncio.gather(*held)
    assert await db.read(names) == set()
    db.close()


async def test_the_context_of_the_call_reaches_the_thread(db: Database) -> None:
    call: ContextVar[str] = ContextVar("call", default="")
    call.set("r-1")
    assert await db.read(lambda _: call.get()) == "r-1"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_a_store_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="memory"):
        Database(url, migrations=MIGRATIONS)


async def test_migrations_run_once_keep_rows_and_match_the_tables(file: Path) -> None:
    db = open_at(file)
    with db._migration_connection() as connection:
        revisions.upgrade(connection, MIGRATIONS, to="0001")
    db.migrate()
    db.migrate()
    assert db.drift(METADATA) == []
    kept = await db.read(lambda c: c.execute(sa.select(BOTTLE.c.id, BOTTLE.c.shelf_id)).all())
    assert [tuple(row) for row in kept] == [(1, "old")]
    db.close()


def test_tables_that_the_migrations_lack_are_found(db: Database) -> None:
    other = sa.MetaData()
    for table in METADATA.tables.values():
        table.to_metadata(other)
    sa.Table("forgotten", other, sa.Column("id", sa.Integer, primary_key=True))
    assert [operation[0] for operation in db.drift(other)] == ["add_table"]


@pytest.mark.full
@pytest.mark.slow
def test_processes_that_start_at_once_migrate_once(file: Path) -> None:
    script = (
        "import sys\n"
        "from tests.unit.kit.sql.test_database import open_at, Path\n"
        "db = open_at(Path(sys.argv[1])); sys.stdin.read(); db.migrate(); db.close()\n"
    )
    together = [
        subprocess.Popen([sys.executable, "-c", script, str(file)], stdin=subprocess.PIPE, cwd=ROOT)
        for _ in range(3)
    ]
    for process in together:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(SECONDS) for process in together] == [0, 0, 0]
    with sqlite3.connect(file) as check:
        assert check.execute("SELECT version_num FROM alembic_version").fetchall() == [("0002",)]
        assert check.execute("SELECT count(*) FROM bottle").fetchone() == (0,)
    check.close()


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_store"
    (package / "versions").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "env.py").write_text(
        "import sqlalchemy\nfrom servicekit.sql.database import run_migrations\n"
        "run_migrations(sqlalchemy.MetaData())\n"
    )
    (package / "versions" / "0001.py").write_text("revision, down_revision = '0001', None\n")
    (package / "versions" / "0002.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "revision, down_revision = '0002', '0001'\n"
        "def upgrade():\n"
        "    op.create_table('half', sa.Column('id', sa.Integer))\n"
        "    raise RuntimeError('on purpose')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    db = Database(f"sqlite:///{tmp_path}/store.db", migrations="broken_store")
    with db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0001')")
    with pytest.raises(RuntimeError, match="on purpose"):
        db.migrate()
    tables = await db.read(
        lambda c: c.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    )
    db.close()
    assert "half" not in tables


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/store.db", migrations="no_such_package")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        db.migrate()
    db.close()


MISTAKES_OF_OURS = {
    "SQLITE_ERROR", "SQLITE_INTERNAL", "SQLITE_ABORT", "SQLITE_INTERRUPT", "SQLITE_NOTFOUND",
    "SQLITE_EMPTY", "SQLITE_SCHEMA", "SQLITE_TOOBIG", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH",
    "SQLITE_MISUSE", "SQLITE_NOLFS", "SQLITE_AUTH", "SQLITE_FORMAT", "SQLITE_RANGE",
    "SQLITE_NOTICE", "SQLITE_WARNING",
}  # fmt: skip
"""Primary codes that another attempt or another disk would not cure."""


def test_every_primary_code_of_sqlite_is_mapped_or_known_to_be_ours() -> None:
    primary = sqlite_primary_names()
    mapped = {name for name in primary if getattr(sqlite3, name) in database.SQLITE_ERRORS}
    assert mapped | MISTAKES_OF_OURS == primary
    assert not mapped & MISTAKES_OF_OURS


def sqlite_primary_names() -> set[str]:
    """Return the names of the result codes 1 to 28; a name of an extended code has a code above
    255. Python lists authorizer actions with the same prefix and small numbers, too."""
    actions = r"SQLITE_(CREATE|DROP|ALTER|DBCONFIG|LIMIT)_|SQLITE_(ATTACH|DETACH|DELETE|INSERT"
    actions += r"|UPDATE|SELECT|READ|REINDEX|ANALYZE|PRAGMA|TRANSACTION|SAVEPOINT|FUNCTION"
    actions += r"|RECURSIVE|IGNORE|DENY|OK|DONE|ROW)$"
    return {
        name
        for name, value in vars(sqlite3).items()
        if name.startswith("SQLITE_") and value <= 28 and not re.match(actions, name)
    }


class FromPostgres(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", StoreFull),
        ("53300", StoreUnavailable),
        ("08006", StoreUnavailable),
        ("25P03", StoreUnavailable),
        ("57P01", StoreUnavailable),
        ("40001", StoreBusy),
        ("XX001", StoreDamaged),
        ("42P01", type(None)),
        ("23505", type(None)),
    ],
)
def test_states_of_postgresql_have_the_same_meanings(state: str, kind: type) -> None:
    error = DBAPIError("SELECT 1", None, FromPostgres(state))
    assert type(database.translate(error)) is kind


def test_a_connection_that_was_never_made_is_unavailable() -> None:
    lost = DBAPIError("SELECT 1", None, FromPostgres(None), connection_invalidated=True)
    assert type(database.translate(lost)) is StoreUnavailable
    assert database.translate(InterfaceError("SELECT 1", None, FromPostgres(None))) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "s3cr3t", "sqlite://", "sqlite:///:memory:", "sqlite:///x?mode=memory", "no://x/y"),
        *(f"postgresql+psycopg://a:x@{part}@db:5432/a"
          for part in ("s3cr3t", "2:s3cr3t", "2/s3cr3t", "s3cr3t?")),
    ],
)  # fmt: skip
def test_a_url_that_no_store_can_have_is_reported_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        database.check_url(url)
    assert "s3cr3t" not in str(caught.value)


def test_an_at_sign_in_a_password_is_refused_and_elsewhere_not() -> None:
    with pytest.raises(ValueError, match="%40"):
        database.check_url("postgresql+psycopg://a:p@ss@db/a")
    for url in ("postgresql+psycopg://a:p%40ss@db/a", "postgresql+psycopg://a@server:p@db/a",
                "sqlite:////folder:of@me@home/x.db"):  # fmt: skip
        assert database.check_url(url) == url


def test_checking_a_url_touches_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/not/yet/store.db"
    assert database.check_url(url) == url
    assert list(tmp_path.iterdir()) == []


async def test_a_catalog_with_many_long_reads_leaves_a_thread_to_others(file: Path) -> None:
    db, go_on = open_at(file, threads=2), threading.Event()
    db.migrate()
    await db.write(lambda c: c.execute(add("a")))
    about.set("busy")
    held = [asyncio.create_task(db.read(lambda _: go_on.wait(SECONDS))) for _ in range(8)]
    await asyncio.sleep(0)
    about.set("other")
    assert await db.read(names) == {"a"}
    go_on.set()
    assert await asyncio.gather(*held) == [True] * 8
    db.close()


async def test_a_catalog_with_many_writes_delays_others_by_one_of_them(file: Path) -> None:
    db, order = open_at(file), list[str]()
    db.migrate()

    async def write(catalog: str, name: str) -> None:
        about.set(catalog)
        await db.write(lambda c: c.execute(add(name)))
        order.append(name)

    busy = [asyncio.create_task(write("busy", f"busy-{number}")) for number in range(8)]
    await asyncio.sleep(0)
    await asyncio.gather(asyncio.create_task(write("other", "other")), *busy)
    assert order.index("other") <= 2
    assert [name for name in order if name != "other"] == [f"busy-{number}" for number in range(8)]
    db.close()
