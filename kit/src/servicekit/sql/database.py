"""A service's own SQL store: SQLite on one machine, PostgreSQL for many.

Needs the extra `sql`. SQLite is set up so that a committed write survives kill -9 and power loss
(WAL with synchronous=FULL, https://www.sqlite.org/pragma.html#pragma_synchronous), and writers
queue in this process instead of failing with SQLITE_BUSY.
"""

import asyncio
import contextlib
import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from zlib import crc32

import sqlalchemy
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, MetaData, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from servicekit import deadlines, tracing
from servicekit.admission.access import about
from servicekit.admission.fair_turns import FairTurn, FairTurns
from servicekit.config import is_guessable, is_local
from servicekit.sql import revisions
from servicekit.sql.commits import Commits
from servicekit.sql.errors import (
    POSTGRES_ERRORS,
    SQLITE_ERRORS,
    StoreBusy,
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    run,
    translate,
)
from servicekit.sql.local_reads import LocalReads
from servicekit.sql.revisions import Made, SchemaRevision, run_migrations

__all__ = [
    "POSTGRES_ERRORS", "SQLITE_ERRORS", "Database", "StoreBusy", "StoreDamaged", "StoreFull",
    "StoreUnavailable", "check_secret_url", "check_url", "run_migrations", "translate",
]  # fmt: skip

T = TypeVar("T")

_POSTGRES_OPTIONS = "-c plan_cache_mode=force_custom_plan"
"""Prepared statements are planned anew each time: a plan made for an empty table scans all of a
full one. With 40,000 events stored, 1,300 a second were written with cached plans and 12,000
without (16.2, 2026-11)."""

WRITE_SECONDS = 5
"""Seconds that an idle write transaction may hold locks on PostgreSQL. After that its process
counts as stuck, and PostgreSQL closes the connection, as later writes to the catalog would wait for
it."""

_BEGIN = "sightline_begin"
"""Execution option: which statement begins a transaction on SQLite."""


class Database:
    """One store with bounded threads. Every method may be called from any task."""

    def __init__(
        self,
        url: str,
        *,
        migrations: str,
        migration_lock: str = "",
        threads: int = 4,
        busy_seconds: float = 5.0,
        max_waiting: int = 256,
        checkpoint_pages: int = 1000,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Open lazily; nothing is read yet.

        `url` is a SQLAlchemy URL (`sqlite:////dir/file.db`, `postgresql+psycopg://…`). `migrations`
        names the package with `env.py` and `versions/`, e.g. `a.record.migrations`; processes that
        migrate wait for one another by `migration_lock`, or else by this name. `threads` read
        side by side for one catalog, one more for the others, and one writes: catalogs that wait
        for a thread take turns by the time that they have used. Beyond `max_waiting` concurrent
        calls, calls raise StoreBusy. SQLite's log collects `checkpoint_pages` of 4 KiB before they
        are moved into the file: with more, a store with scattered writes moves each page less
        often. `options` are execution options of all connections. A SQLite file's directory is
        created if missing. Raises ValueError for SQLite in memory, which is not durable.
        """
        self._url = make_url(url)
        self._named = {"db.system.name": self._url.get_backend_name()}
        """Attributes of its spans."""
        self._migrations = migrations
        self._lock_key = crc32((migration_lock or migrations).encode())
        self._busy_seconds = busy_seconds
        self._file = _sqlite_file(self._url)
        opened = partial(
            _engine,
            self._url,
            busy_seconds,
            execution_options=dict(options),
            poolclass=QueuePool,
            max_overflow=0,
        )
        self.engine = opened(checkpoint_pages=checkpoint_pages, pool_size=threads + 2)
        """For tests and tools; services use `read` and `write`."""
        # SQLite's readers see one snapshot anyway; PostgreSQL's default is a snapshot for each
        # statement.
        snapshot = {"isolation_level": "REPEATABLE READ"} if self._file is None else {}
        self._readers = self.engine.execution_options(**{_BEGIN: "BEGIN"}, **snapshot)
        self._writer: Engine = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        if self._file is None:
            held = f"-c idle_in_transaction_session_timeout={WRITE_SECONDS}s"
            self._writer = opened(postgres=held, pool_size=1)
        self._read_threads = ThreadPoolExecutor(threads + 1, "sql-read")
        self._write_thread = ThreadPoolExecutor(1, "sql-write")
        self._read_turns, self._write_turns = FairTurns(threads + 1, threads), FairTurns(1, 1)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._local_reads = None if self._file is None else LocalReads(self._file, options)
        self._commits = None if self._file is None else Commits(self._file)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Return `fn` of a connection that sees one snapshot of the store. `fn` must not write."""
        with tracing.within("sql read", tracing.CLIENT, self._named):
            work = partial(_transact, self._readers, fn)
            return await self._run(self._read_threads, self._read_turns, work)

    async def write(
        self,
        fn: Callable[[Connection], T],
        *,
        announce: bool = True,
        before: Callable[[], object] | None = None,
    ) -> T:
        """Return `fn` of a connection in a transaction, after its commit.

        Writes of this process run one after another, those of one catalog in the order of the
        calls. An exception of `fn` rolls back and is raised. A cancelled write may still be
        committed. `announce`: set the events of `commits`. `before` runs in the same thread, before
        the transaction begins and locks anything. Raises StoreBusy, StoreFull,
        StoreUnavailable or StoreDamaged; other errors of the database, such as IntegrityError, are
        raised as they are.
        """
        with tracing.within("sql write", tracing.CLIENT, self._named):
            work = partial(_transact, self._writer, fn)
            if before is not None:
                work = partial(_prepared, before, work)
            if announce and self._commits is not None:
                work = partial(_announced, self._commits, work)
            return await self._run(self._write_thread, self._write_turns, work)

    async def _run(
        self, threads: ThreadPoolExecutor, turns: FairTurns, work: Callable[[FairTurn], T]
    ) -> T:
        if self._waiting >= self._max_waiting:
            raise StoreBusy
        self._waiting += 1
        try:
            turn = await turns.take(about.get())
            try:
                return await deadlines.in_thread(partial(work, turn), threads)
            finally:
                turn.leave()
        finally:
            self._waiting -= 1

    @property
    def local(self) -> bool:
        """Return whether `read_local` works: the store is a SQLite file."""
        return self._local_reads is not None

    def read_local(self, work: Callable[[Connection], T]) -> T:
        """Return `work` of a connection that sees one snapshot of the store, in the caller's own
        thread.

        For reads of a few rows that take less than a hop to a thread and back (some 100 µs): an
        event loop is blocked for as long. By its key, a row takes 65 µs where `read` takes 270, and
        13 where `work` uses `connection.connection.driver_connection`, which is sqlite3's own
        (2026-11). It sees all earlier commits, of this process or another, and must not write.
        There is one such connection: threads take turns, and `work` must not call `read_local`
        again. It waits 20 ms at most while another process recovers or deletes the WAL, then raises
        StoreBusy; `read` would wait longer. Also raises StoreUnavailable or StoreDamaged, and
        RuntimeError where the store is not `local`.
        """
        if self._local_reads is None:
            raise RuntimeError("only a SQLite file has local reads: use read")
        with _translated():
            return self._local_reads.read(work)

    def version(self) -> int | None:
        """Return a number that changes with every commit of any process; None where it is unknown.

        While it stays the same, nothing was committed, and earlier reads are still current: take
        the number first, then read, or take it within the `work` of `read_local`, where it belongs
        to the snapshot that `work` sees. It may also change without a commit, and is not comparable
        between Databases or processes. A file of SQLite reports it within microseconds, without
        blocking an event loop. None on other stores, and when the file can't be read: a read then
        raises the error.
        """
        if self._local_reads is None:
            return None
        try:
            return self._local_reads.version()
        except (sqlite3.Error, DBAPIError):
            return None

    def commits(self) -> asyncio.Event | None:
        """Return an event that is set after each later commit of any process; the caller clears it
        before it reads. None where commits are not reported: outside of Linux, and on PostgreSQL.
        """
        return None if self._commits is None else self._commits.watch()

    async def erase_deleted(self, tables: Sequence[str]) -> None:
        """Remove the bytes of rows that were deleted from these tables.

        SQLite overwrites rows as it deletes them; earlier copies in its log are cut off here.
        PostgreSQL's dead rows are removed by VACUUM; without the right to it, autovacuum removes
        them later.
        """
        await asyncio.to_thread(self._erase_deleted, tables)

    def _erase_deleted(self, tables: Sequence[str]) -> None:
        with _translated(), self.engine.connect() as connection:
            if self._file is None:
                alone = connection.execution_options(isolation_level="AUTOCOMMIT")
                alone.exec_driver_sql(f"VACUUM {', '.join(tables)}")
            else:
                raw: Any = connection.connection.driver_connection
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def migrate(self, made: Made = lambda _: None, lock_seconds: float = 0) -> None:
        """Apply pending schema revisions, in one transaction. Blocks.

        Processes that start at once wait for one another. A schema of a later release is not
        changed. With `lock_seconds`, a longer wait for a table lock on PostgreSQL, which blocks
        other users of the table, raises StoreBusy, and nothing is changed.
        """
        with _MIGRATING, self._migration_lock(), self._migration_connection() as connection:
            if lock_seconds and self._file is None:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{lock_seconds}s'")
            if revisions.schema(connection, self._migrations).missing:
                revisions.upgrade(connection, self._migrations, made)
                self._check_references(connection)

    def schema(self) -> SchemaRevision:
        """Return the store's revision. Blocks."""
        with _translated(), self.engine.connect() as connection:
            return revisions.schema(connection, self._migrations)

    def obstacles(self, metadata: MetaData) -> list[str]:
        """Return why this release, whose tables are `metadata`, can't use a store of a later one;
        empty if it can. Blocks."""
        with _translated(), self.engine.connect() as connection:
            return revisions.obstacles(connection, metadata)

    def drift(self, metadata: MetaData, beside: Collection[str] = ()) -> list[Any]:
        """Return the differences of the migrated schema from `metadata`, see `revisions.drift`.

        For tests.
        """
        with self.engine.connect() as connection:
            return revisions.drift(connection, metadata, beside)

    def close(self) -> None:
        """Wait for running statements, then close all connections."""
        for threads in (self._read_threads, self._write_thread):
            threads.shutdown(wait=True, cancel_futures=True)
        if self._local_reads is not None:
            self._local_reads.close()
        if self._commits is not None:
            self._commits.close()
        self._writer.dispose()
        self.engine.dispose()

    @contextlib.contextmanager
    def _migration_lock(self) -> Iterator[None]:
        if self._file is None:
            yield  # PostgreSQL: an advisory lock within the transaction
            return
        lock = self._file.with_name(self._file.name + ".migrate.lock")
        with lock.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _migration_connection(self) -> Iterator[Connection]:
        # Rebuilding a table drops it temporarily, which must not cascade to rows that refer to it.
        engine = _engine(self._url, self._busy_seconds, foreign_keys=False, poolclass=NullPool)
        engine = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        try:
            with _translated(), engine.begin() as connection:
                if self._file is None:
                    connection.execute(
                        sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"),
                        {"key": self._lock_key},
                    )
                yield connection
        finally:
            engine.dispose()

    def _check_references(self, connection: Connection) -> None:
        """Raise RuntimeError if a row refers to one that is not there. Reads all of a file."""
        if self._file is not None:
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                raise RuntimeError(f"migration leaves {len(broken)} dangling references")


_MIGRATING = threading.Lock()
"""Alembic keeps the running migration in globals."""


def check_url(url: str) -> str:
    """Return `url` if a Database can be made of it; opens nothing. For settings.

    Raises ValueError, without repeating the URL: it may hold a password.
    """
    try:
        parsed = make_url(url)
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ImportError, ValueError):
        if _has_bare_at(url):
            raise ValueError(_BARE_AT) from None
        raise ValueError("not a SQLAlchemy URL of a database whose driver is installed") from None
    _check_sqlite(parsed)
    if parsed.get_backend_name() != "sqlite" and _has_bare_at(url):
        raise ValueError(_BARE_AT)
    return url


_BARE_AT = "write each @ in the password as %40"


def _has_bare_at(url: str) -> bool:
    """Return whether a password has an @, what follows which would be taken for the host."""
    before = url.partition("://")[2].rpartition("@")[0]
    return "@" in before.partition(":")[2]


def check_secret_url(url: SecretStr) -> SecretStr:
    """Check a secret URL as `check_url` does."""
    check_url(url.get_secret_value())
    return url


def has_guessable_password(url: str) -> bool:
    """Return whether a database's password is a well-known one."""
    parsed = make_url(url)
    return is_guessable(parsed.username or "", str(parsed.password or ""))


def tls_remedy(url: str) -> str:
    """Return how to connect safely, if a URL names PostgreSQL on another machine without TLS, or
    with TLS that does not verify the server; else an empty string."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return ""
    query = parsed.query
    named = [parsed.host or "", *_all(query.get("host", ()))]
    hosts = [host for one in named for host in one.split(",") if host and host[0] != "/"]
    verified = {"verify-ca", "verify-full"}.intersection(_all(query.get("sslmode", ())))
    local = all(is_local(f"{host}:0" if host.count(":") != 1 else host) for host in hosts)
    return "" if verified or local else "add ?sslmode=verify-full&sslrootcert=…"


def _all(given: str | Collection[str]) -> Collection[str]:
    return [given] if isinstance(given, str) else given


def _transact(engine: Engine, fn: Callable[[Connection], T], turn: FairTurn) -> T:
    if not turn.run_begins():
        raise StoreBusy  # its caller has left while it waited for the thread
    try:
        with _translated(), engine.begin() as connection:
            return run(fn, connection)
    finally:
        turn.run_ended()


def _prepared(before: Callable[[], object], work: Callable[[FairTurn], T], turn: FairTurn) -> T:
    before()
    return work(turn)


def _announced(commits: Commits, work: Callable[[FairTurn], T], turn: FairTurn) -> T:
    found = work(turn)
    commits.announce()
    return found


class _translated:  # noqa: N801 - read as a function
    """Raises the driver's errors of the body as ours."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, DBAPIError) and (meaning := translate(error)) is not None:
            raise meaning from error


def _sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite URL, and create its directory; None for another database."""
    if url.get_backend_name() != "sqlite":
        return None
    _check_sqlite(url)
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _check_sqlite(url: URL) -> None:
    in_memory = url.database in (None, "", ":memory:") or "mode" in url.query
    if url.get_backend_name() == "sqlite" and in_memory:
        raise ValueError("the store needs a database file, not one in memory")


def _engine(
    url: URL,
    busy_seconds: float,
    *,
    foreign_keys: bool = True,
    checkpoint_pages: int = 1000,
    postgres: str = "",
    **pool: Any,
) -> Engine:
    """`postgres`: more options of sessions on PostgreSQL."""
    if url.get_backend_name() != "sqlite":
        options = f"{url.query.get('options', '')} {_POSTGRES_OPTIONS} {postgres}".strip()
        return sqlalchemy.create_engine(
            url,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"options": options},
            **pool,
        )
    engine = sqlalchemy.create_engine(
        url,
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
        hide_parameters=True,
        **pool,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        # Python's driver would begin transactions itself, and too late.
        connection.isolation_level = None
        _enter_wal(connection, busy_seconds)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        # 16 MiB, of the connections that need them: a batch of 1,000 rows with five indexes
        # touches more than the 2 MB that are the default, and then writes its pages twice. With
        # 400,000 events stored, 10,000 a second were written instead of 3,000 (2026-11).
        connection.execute("PRAGMA cache_size=-16384")
        connection.execute(f"PRAGMA wal_autocheckpoint={checkpoint_pages}")
        # Deleted rows are overwritten: the bytes of erased persons do not stay in free pages.
        connection.execute("PRAGMA secure_delete=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _enter_wal(connection: sqlite3.Connection, seconds: float) -> None:
    """Switch to WAL. SQLite does not wait for its busy timeout when two switch at once."""
    end = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
