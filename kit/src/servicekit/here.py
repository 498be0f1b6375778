"""Reads of a SQLite file in the caller's own thread, and whether anybody has written since.

A hop to a thread and back costs more than a read of a few rows. Used through `servicekit.sql`.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

T = TypeVar("T")

_BUSY_SECONDS = 0.02
"""A reader of a WAL waits for nobody but one who recovers it or takes it down: it must not hold up
an event loop for long."""


class Here:
    """One connection that writes nothing, opened on first use. To it, every commit is another's."""

    def __init__(self, file: Path) -> None:
        """`file` is not made where it is missing."""
        self._address = f"{file.absolute().as_uri()}?mode=rw"
        self._engine = sqlalchemy.create_engine(
            "sqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True
        )
        self._turn = threading.RLock()
        self._open: tuple[Connection, sqlite3.Connection] | None = None
        self._times = 0
        """How often it was opened."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """`work` of a connection that sees one state. Errors of the driver pass as SQLAlchemy's."""
        with self._turn:
            connection, raw = self._opened()
            raw.execute("BEGIN")
            try:
                found = work(connection)
            except DBAPIError:
                self.close()  # the file may be sound again when the next one opens it
                raise
            except BaseException:
                _end(connection, raw)
                raise
            _end(connection, raw)
            return found

    def version(self) -> int:
        """Another number after every commit (https://www.sqlite.org/pragma.html#pragma_data_version).

        Raises sqlite3.Error or SQLAlchemy's.
        """
        with self._turn:
            _, raw = self._opened()
            try:
                ((found,),) = raw.execute("PRAGMA data_version").fetchall()
            except sqlite3.Error:
                self.close()
                raise
            # SQLite counts for each connection anew.
            return (self._times << 32) + int(found)

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._turn:
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
    raw.rollback()  # also where no statement ran
