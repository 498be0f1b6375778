"""Check that a transaction has its lock before it reads what it is about to change.

PostgreSQL shows each statement what was committed before it, so a decision that was read before the
lock may be outdated when it is written. On SQLite, whose writers come one after another, no test
of results can show this. `watch_writes` therefore looks at the statements of every write of the
services' code, on both: a statement that writes after a read, or after a write to another table,
needs a lock (servicekit.sql.locks, SELECT … FOR UPDATE) before the first of them.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from servicekit.sql import database
from servicekit.sql.locks import NOTED

TESTS = str(Path(__file__).parent)
_WRITES = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.IGNORECASE)
_READS = re.compile(r"\s*(?:SELECT|WITH)\b", re.IGNORECASE)
_LOCKS = re.compile(r"pg_(?:try_)?advisory_xact_lock")

UNLOCKED = {
    "remove_rows": "it deletes rows of one table only: before, it found none in others",
    "drop_dead_letters": "each of its two statements decides alone",
}
"""Functions whose writes need no lock, by name, and why."""


class LockedLate(AssertionError):
    """A transaction wrote what it had decided before it had its lock."""

    def __init__(self, early: str, write: str) -> None:
        super().__init__(f"needs a lock before the first of:\n  {early}\n  {write}")


class Watch:
    """Statements of one transaction."""

    def __init__(self) -> None:
        self.found: LockedLate | None = None
        self._early: list[tuple[str, str]] = []
        """Table (of a write) and text of statements without a lock."""

    def see(self, connection: Connection, statement: str, context: Any) -> None:
        """Look at a statement before it runs. Raise LockedLate."""
        compiled = getattr(context, "compiled", None)
        if getattr(getattr(compiled, "statement", None), "_for_update_arg", None) is not None:
            connection.info[NOTED] = True
        write = _WRITES.match(statement)
        if write is not None:
            for table, early in self._early:
                if table != write[1] and not _is_free():
                    self.found = LockedLate(_short(early), _short(statement))
                    raise self.found
        reads = _READS.match(statement) and not _LOCKS.search(statement)
        if (write or reads) and not connection.info.get(NOTED):
            self._early.append((write[1] if write else "", statement))


def _is_free() -> bool:
    """Return whether a function that needs no lock is being called."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name not in UNLOCKED:
        frame = frame.f_back
    return frame is not None


def _short(statement: str) -> str:
    return " ".join(statement.split())[:160]


@contextmanager
def watch_writes() -> Iterator[list[LockedLate]]:
    """Watch all writes of the services' code in this process; yield what was found so far."""
    found: list[LockedLate] = []
    real = database._transact

    def transact(engine: Engine, work: Callable[[Connection], Any], turn: Any) -> Any:
        if not _is_ours(work):
            return real(engine, work, turn)
        watch = Watch()

        def watched(connection: Connection) -> Any:
            connection.info.pop(NOTED, None)
            event.listen(connection, "before_cursor_execute", _seen(watch))
            return work(connection)

        try:
            return real(engine, watched, turn)
        finally:
            if watch.found is not None:
                found.append(watch.found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_transact", transact)
        yield found


def _seen(watch: Watch) -> Callable[..., None]:
    def seen(
        connection: Connection, _cursor: Any, statement: str, _p: Any, context: Any, _m: Any
    ) -> None:
        watch.see(connection, statement, context)

    return seen


def _is_ours(work: Callable[..., Any]) -> bool:
    """Return whether the services' code, not a test, is the work of a transaction."""
    while isinstance(work, functools.partial):
        work = work.func
    code = getattr(inspect.unwrap(work), "__code__", None)
    return code is not None and not code.co_filename.startswith(TESTS)
