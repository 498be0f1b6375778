"""Two writers of one PostgreSQL store, interleaved at each of their statements.

The first writer stops before a statement; the second one runs, to its end or until it waits for a
lock of the first; then the first goes on. What both return, and all rows, must be as after one of
the two orders without interleaving. So a writer is at fault that decides by what it read before it
had its lock, or reads and writes in two transactions.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import make_url

from servicekit.sql.database import Database
from tests.waiting import SECONDS, until

World = TypeVar("World")
Writer = Callable[[World], Awaitable[object]]
Place = tuple[int, int]
"""Number of a transaction, and of its statement."""
Result = tuple[str, str, list[tuple[str, str]]]
"""What the first and the second writer returned or raised, and the rows that are left."""

_RANDOM = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b1[789]\d{14}\b|x[0-9a-f]{64}\b"
)
"""Random ids, the real time in microseconds, and hashes, which may be of such."""
_DIGITS = re.compile(r"(\d\.\d{9})\d+")
"""Digits of a sum that depend on its order."""
_COLUMNS = """
SELECT columns.table_name, column_name,
    coalesce(column_default LIKE 'nextval%', false) OR is_identity = 'YES'
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'
    AND columns.table_name <> 'alembic_version' ORDER BY 1, ordinal_position
"""
_WAITS = """
SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Steps:
    """Statements of the first writer, which stops before one of them."""

    def __init__(self, database: Database) -> None:
        self._loop = asyncio.get_running_loop()
        self.after: Place = (0, 0)
        """It stops at the first statement after this one."""
        self.at: Place | None = None
        """Where it stopped."""
        self.stopped = asyncio.Event()
        self._goes_on = threading.Event()
        self._transaction = self._statement = 0
        self.watches = False
        for engine in (database.engine, database._writer):
            event.listen(engine, "begin", self._begin)
            event.listen(engine, "before_cursor_execute", self._before)
            event.listen(engine, "commit", self._before)

    def begin(self, after: Place) -> None:
        """Watch the next statements."""
        self.after, self.at, self.watches = after, None, True
        self._transaction = self._statement = 0
        self.stopped.clear()
        self._goes_on.clear()

    def go_on(self) -> None:
        """Let the writer run to its end."""
        self.watches = False
        self._goes_on.set()

    def _begin(self, *_: Any) -> None:
        self._transaction, self._statement = self._transaction + 1, 0

    def _before(self, *_: Any) -> None:
        self._statement += 1
        place = self._transaction, self._statement
        if self.watches and self.at is None and place > self.after:
            self.at = place
            self._loop.call_soon_threadsafe(self.stopped.set)
            self._goes_on.wait(SECONDS)


class Store:
    """A store's rows, which are put back before each run."""

    def __init__(self, url: str) -> None:
        """Keep the present rows of a store."""
        given = make_url(url)
        self._connection = psycopg.connect(
            host=str(given.query["host"]), user="postgres", dbname=given.database, autocommit=True
        )
        self._run("SET session_replication_role = replica; CREATE SCHEMA kept")  # no triggers
        columns = dict[str, list[str]]()
        for table, column, serial in self._all(_COLUMNS):
            columns.setdefault(table, []).append(column)
            if serial:
                columns[table][-1] = f"+{column}"
        self._put_back = "; ".join(part for item in columns.items() for part in _restoring(*item))
        self._rows = " UNION ALL ".join(_reading(*item) for item in columns.items())
        for table in columns:
            self._run(f"CREATE TABLE kept.{table} AS TABLE {table}")

    def _run(self, query: str) -> None:
        self._connection.execute(query.encode())

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode()).fetchall()

    def put_back(self) -> None:
        """Restore the kept rows."""
        self._run(self._put_back)

    def rows(self) -> list[tuple[str, str]]:
        """Return all rows without what is random, or depends on rolled back transactions."""
        return sorted((table, _masked(row)) for table, row in self._all(self._rows))

    def someone_waits(self) -> bool:
        """Return whether a transaction waits for another one's lock."""
        return bool(self._all(_WAITS))

    def close(self) -> None:
        """Leave the store as a test has it."""
        self._run("DROP SCHEMA kept CASCADE")
        self._connection.close()


def _restoring(table: str, columns: Sequence[str]) -> Iterator[str]:
    """Yield the statements that restore a table. A serial column begins with +."""
    named = ", ".join(each.removeprefix("+") for each in columns)
    yield f"DELETE FROM {table}"  # noqa: S608
    yield f"INSERT INTO {table} ({named}) SELECT {named} FROM kept.{table}"  # noqa: S608
    for name in (each[1:] for each in columns if each[0] == "+"):
        last = f"coalesce((SELECT max({name}) FROM {table}), 0) + 1"  # noqa: S608
        yield f"SELECT setval(pg_get_serial_sequence('{table}', '{name}'), {last}, false)"


def _reading(table: str, columns: Sequence[str]) -> str:
    """Return the SELECT of a table's rows as texts, without serial columns."""
    serial = "".join(f" - '{each[1:]}'" for each in columns if each[0] == "+")
    return f"SELECT '{table}', (to_jsonb({table}){serial})::text FROM {table}"  # noqa: S608


def _masked(text: str) -> str:
    return _DIGITS.sub(r"\1", _RANDOM.sub("…", text))


async def _outcome(work: Awaitable[object]) -> str:
    try:
        return _masked(repr(await work))
    except Exception as error:
        return f"{type(error).__name__}: {_masked(str(error)[:500])}"


@dataclass
class Interleaving(Generic[World]):
    """Pairs of writers, each in a world of its own on the same store."""

    store: Store
    steps: Steps
    """Those of the first world."""
    first: World
    second: World
    runs: int = 0

    async def faults(self, writers: Mapping[str, Writer[World]]) -> list[str]:
        """Run all pairs of writers, each with itself too. Return the faults."""
        found = list[str]()
        for a, one in writers.items():
            for b, other in writers.items():
                found += await self._pair(f"{a} | {b}", one, other)
        return found

    async def _pair(self, name: str, one: Writer[World], other: Writer[World]) -> list[str]:
        # Stopped before its first statement, it would be as if the second writer came first.
        place: Place = (1, 1)
        expected = list[Result]()
        while True:
            self.store.put_back()
            self.steps.begin(place)
            self.runs += 1
            first = asyncio.create_task(_outcome(one(self.first)))
            stopped = asyncio.create_task(self.steps.stopped.wait())
            await asyncio.wait({first, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if self.steps.at is None:
                stopped.cancel()
                return []
            second = asyncio.create_task(_outcome(other(self.second)))
            await until(lambda: second.done() or self.store.someone_waits())  # noqa: B023
            waited = not second.done()
            at = self.steps.at
            self.steps.go_on()
            result = await first, await second, self.store.rows()
            for turned in (False, True)[len(expected) :]:
                if result not in expected:
                    expected.append(await self._in_turn(one, other, turned=turned))
            if result not in expected:
                return [f"{name}, stopped before statement {at}: {_difference(result, expected)}"]
            # What waits for a lock of this transaction waits for it at its later statements too.
            place = (at[0], 1_000_000) if waited else at

    async def _in_turn(self, one: Writer[World], other: Writer[World], *, turned: bool) -> Result:
        """Return the result of one after the other; `turned`: of the second before the first."""
        self.store.put_back()
        if turned:
            second = await _outcome(other(self.second))
            return await _outcome(one(self.first)), second, self.store.rows()
        first = await _outcome(one(self.first))
        return first, await _outcome(other(self.second)), self.store.rows()


def _difference(result: Result, serial: Sequence[Result]) -> str:
    lines = [f"\n  {result[0]}\n  {result[1]}"]
    for expected in serial:
        lines.append(f"  not {expected[0]}\n      {expected[1]}")
        lines += [f"    {row}" for row in result[2] if row not in expected[2]]
        lines += [f"    not {row}" for row in expected[2] if row not in result[2]]
    return "\n".join(lines)[:3_000]


def each_of(
    resources: Sequence[Callable[..., Any]], rare: Sequence[Callable[..., Any]]
) -> pytest.MarkDecorator:
    """Return the mark that gives a test each resource; only `make full` runs those of `rare`."""
    return pytest.mark.parametrize(
        "resource",
        [
            pytest.param(each, marks=[pytest.mark.full] * (each in rare), id=each.__name__)
            for each in resources
        ],
    )


async def check(url: str, one: Any, other: Any, writers: Mapping[str, Writer[Any]]) -> None:
    """Fail unless each pair of writers, of two processes, does together what it does in turn."""
    at = Store(url)
    try:
        found = Interleaving(at, Steps(one.db), one, other)
        assert not (faults := await found.faults(writers)), "\n".join(faults)
        assert found.runs > len(writers) ** 2, "nothing was interleaved"
    finally:
        at.close()
