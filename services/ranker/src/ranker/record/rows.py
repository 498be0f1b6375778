"""Upserts, and statements for every request that bypass SQLAlchemy's processing of parameters and
rows, which takes longer than SQLite's reading."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from servicekit.sql.database import Database
from servicekit.sql.locks import inserting

Item = TypeVar("Item")
T = TypeVar("T")


def upsert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Upsert rows by primary key; all rows have the same columns."""
    statement = inserting(connection.dialect.name, table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows)
    )


async def write_beside_others(
    database: Database,
    work: Callable[[Connection, Sequence[Item]], T],
    items: Sequence[Item],
    *,
    announce: bool = True,
    before: Callable[[], object] | None = None,
) -> T:
    """Return the result of `work`, which skips existing rows; repeat it if another process wrote
    one meanwhile (PostgreSQL). `announce`, `before`: see `Database.write`."""
    try:
        return await database.write(
            lambda connection: work(connection, items), announce=announce, before=before
        )
    except sa.exc.IntegrityError:
        return await database.write(lambda connection: work(connection, items), announce=announce)


class TableRecord:
    """Operations on some tables, for all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database


class RowsStatement:
    """A statement without list parameters."""

    def __init__(self, statement: sa.Executable) -> None:
        self.statement: Any = statement
        self._compiled: dict[str, Any] = {}

    def of(self, connection: Connection, given: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return all rows in the driver's own values; errors are those of `Connection.execute`."""
        dialect = connection.dialect
        made = self._compiled.get(dialect.name)
        if made is None:
            made = self._compiled[dialect.name] = self.statement.compile(dialect=dialect)
        values = {**made.params, **given}
        if dialect.name != "sqlite":
            return connection.exec_driver_sql(made.string, values).all()
        driver: Any = connection.connection.dbapi_connection
        ordered = [values[name] for name in made.positiontup]
        try:
            found: Sequence[Sequence[Any]] = driver.execute(made.string, ordered).fetchall()
        except sqlite3.Error as error:
            raise DBAPIError.instance(
                made.string, None, error, sqlite3.Error, hide_parameters=True, dialect=dialect
            ) from error
        return found
