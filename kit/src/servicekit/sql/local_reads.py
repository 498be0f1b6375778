"""Reads of a SQLite file in the caller's own thread, and the number of its last commit.

A hop to a thread and back costs more than a read of a few rows. Used through
`servicekit.sql.database`.
"""

import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from servicekit.sql.errors import run

T = TypeVar("T")

_BUSY_SECONDS = 0.02
"""Lock timeout. A reader of a WAL waits only while another process recovers or deletes the WAL, and
must not block an event loop for long."""


class LocalReads:
    """A read-only connection, opened on first use. All commits come from other connections."""

    def __init__(self, file: Path, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        """`file` is not created if it is missing. `options`: execution options."""
        self._address = f"{file.absolute().as_uri()}?mode=rw"
        self._engine = sqlalchemy.create_engine(
            "sqlite://",
            creator=self._connect,
            poolclass=NullPool,
            hide_parameters=True,
            execution_options=dict(options),
        )
        self._lock = threading.RLock()
        self._open: tuple[Connection, sqlite3.Connection] | None = None
        self._times = 0
        """Number of times that the file was opened."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return `work` of a connection that sees one snapshot.

        Errors of the driver are raised as SQLAlchemy's.
        """
        with self._lock:
            connection, raw = self._opened()
            raw.execute("BEGIN")
            try:
                found = run(work, connection)
            except DBAPIError:
                self.close()  # the file may be intact when it is opened again
                raise
            except BaseException:
                _end(connection, raw)
                raise
            _end(connection, raw)
            return found

    def version(self) -> int:
        """Return a number that changes with every commit.

        See https://www.sqlite.org/pragma.html#pragma_data_version. Raises sqlite3.Error or
        SQLAlchemy's.
        """
        with self._lock:
            _, raw = self._opened()
            try:
                ((found,),) = raw.execute("PRAGMA data_version").fetchall()
            except sqlite3.Error:
                self.close()
                raise
            # SQLite counts for each connection anew.
            return (self._times << 32) + int(found)

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            if self._open is not None:
                self._open[0].close()
                self._open = None

    def _opened(self) -> tuple[Connection, sqlite3.Connection]:
        if self._open is None:
            connection = self._engine.connect()
            self._open = (
                connection,
                cast(sqlite3.Connection, connection.connection.dbapi_connection),
            )
            self._times += 1
        return self._open

    def _connect(self) -> sqlite3.Connection:
        raw = sqlite3.connect(
            self._address,
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        raw.execute("PRAGMA query_only=ON")
        return raw


def _end(connection: Connection, raw: sqlite3.Connection) -> None:
    connection.rollback()
    raw.rollback()  # also if no statement ran
