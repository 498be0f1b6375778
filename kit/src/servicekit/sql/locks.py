"""Locks that a transaction takes before it reads what it is about to change. Needs the extra `sql`.

On PostgreSQL each statement sees what was committed before it: what a transaction reads before it
has its lock may be old when it writes. SQLite hides this, because its writers come one after
another. So the lock comes first; `noted` tells tests that it was taken (tests/late_locks.py).
"""

from typing import Any
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

NOTED = "sightline_locked"
"""Key of `Connection.info`."""


def lock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Wait for the lock of this name, and hold it until the transaction ends. Holders of a
    `shared` lock exclude only those of an exclusive one. SQLite has one writer anyway."""
    noted(connection)
    if connection.dialect.name == "postgresql":
        take = sa.func.pg_advisory_xact_lock_shared if shared else sa.func.pg_advisory_xact_lock
        connection.execute(sa.select(take(crc32(name.encode()))))


def lock_if_free(connection: Connection, name: str) -> bool:
    """Take the lock as `lock` does if no other transaction holds it. Return whether it did."""
    noted(connection)
    if connection.dialect.name != "postgresql":
        return True
    taken = sa.select(sa.func.pg_try_advisory_xact_lock(crc32(name.encode())))
    return bool(connection.execute(taken).scalar())


def noted(connection: Connection) -> None:
    """Note that the transaction has the lock that its writes need, or takes it next."""
    connection.info[NOTED] = True


def inserting(dialect: str, table: sa.Table) -> Any:
    """Return an INSERT that supports a conflict clause: a decision in one statement needs no
    lock."""
    insert: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table)
