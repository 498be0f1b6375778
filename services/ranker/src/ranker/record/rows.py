"""Upserts, and statements for every request that bypass SQLAlchemy's processing of parameters and
rows, which takes longer than SQLite's reading."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

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


class Among(sa.ColumnElement[Any]):
    """Condition of a RowsStatement: a text is in a list, which is one parameter. SQLAlchemy
    compiles many parameters anew each time, which took a millisecond for hundreds."""

    inherit_cache = False
    type = sa.types.NullType()  # with a Boolean, SQLite compares it with 1 and uses no index

    def __init__(self, text: sa.ColumnElement[str], name: str) -> None:
        """`name`: of the parameter."""
        self.text = text
        self.texts: sa.BindParameter[Any] = sa.bindparam(name)


@compiles(Among, "sqlite")
def _among_json(among: Among, compiler: SQLCompiler, **given: Any) -> str:
    text, texts = (compiler.process(each, **given) for each in (among.text, among.texts))
    return f"{text} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - made of columns


@compiles(Among, "postgresql")
def _among_array(among: Among, compiler: SQLCompiler, **given: Any) -> str:
    text, texts = (compiler.process(each, **given) for each in (among.text, among.texts))
    return f"{text} = ANY(CAST({texts} AS text[]))"


class RowsStatement:
    """A statement that is compiled once. Lists are single parameters, as in `Among`: JSON on
    SQLite, arrays on PostgreSQL."""

    def __init__(self, statement: sa.Executable, columns: Sequence[str] | None = None) -> None:
        """`columns`: those that it inserts; None: all."""
        self.statement: Any = statement
        self._columns = columns
        self._compiled: dict[str, tuple[str, Mapping[str, Any], Sequence[str]]] = {}

    def of(self, connection: Connection, given: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return all rows in the driver's own values; errors are those of `Connection.execute`."""
        dialect = connection.dialect
        text, usual, order = self._made(dialect)
        values = {**usual, **given}
        if dialect.name != "sqlite":
            return connection.exec_driver_sql(text, values).all()
        driver: Any = connection.connection.dbapi_connection
        ordered = [*map(values.__getitem__, order)]
        if list in map(type, ordered):
            ordered = [json.dumps(each) if type(each) is list else each for each in ordered]
        try:
            found: Sequence[Sequence[Any]] = driver.execute(text, ordered).fetchall()
        except sqlite3.Error as error:
            raise DBAPIError.instance(
                text, None, error, sqlite3.Error, hide_parameters=True, dialect=dialect
            ) from error
        return found

    def pairs(self, connection: Connection, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return rows of two columns as a map."""
        found: Any = self.of(connection, given)
        return dict(found)

    def each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute the statement, which returns nothing, for each of several rows. SQLite keeps the
        values that a statement was last executed with: so no statement has those of many rows."""
        text, _, order = self._made(connection.dialect)
        given: Any = [tuple(map(row.__getitem__, order)) for row in rows] if order else [*rows]
        connection.exec_driver_sql(text, given)

    def _made(self, dialect: Dialect) -> tuple[str, Mapping[str, Any], Sequence[str]]:
        """Return the text, the values of its own parameters, and the order of all, if they have no
        names."""
        found = self._compiled.get(dialect.name)
        if found is None:
            made = self.statement.compile(dialect=dialect, column_keys=self._columns)
            found = made.string, made.params, made.positiontup or ()
            self._compiled[dialect.name] = found
        return found
