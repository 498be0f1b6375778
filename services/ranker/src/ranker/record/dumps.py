# ruff: noqa: S608 (names of tables and columns are the schema's own)
"""The record as text: each table in the text format of PostgreSQL's COPY, from and to either
engine: a backup of SQLite can be restored into PostgreSQL, and `psql` can load a table."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.record.tables import ANSWERS, EVENTS, MIGRATIONS, MODELS
from servicekit.sql import revisions
from servicekit.sql.database import Database

REVISIONS = "alembic_version"
BATCH = 1_000
CHUNK = 2**16
_SHORT = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPED = str.maketrans({value: f"\\{letter}" for letter, value in _SHORT.items()})
_NOTHING = "\\N"


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """Open a snapshot of the store for the duration of the block."""
    options: dict[str, Any] = {} if database.local else {"isolation_level": "REPEATABLE READ"}
    with database.engine.execution_options(**options).connect() as connection, connection.begin():
        yield connection


def tables(connection: Connection) -> list[str]:
    """Return all tables but that of the revision, in the order of their references."""
    found = sa.inspect(connection).get_sorted_table_and_fkc_names()
    return [name for name, _ in found if name not in (None, REVISIONS)]


def revision(connection: Connection) -> str:
    """Return the schema's revision, empty without tables."""
    if not sa.inspect(connection).has_table(REVISIONS):
        return ""
    return str(connection.exec_driver_sql(f"SELECT version_num FROM {REVISIONS}").scalar())


def is_empty(connection: Connection) -> bool:
    """Return whether the store holds no events, answers and models."""
    there = sa.inspect(connection).has_table
    return not any(
        there(table.name)
        and connection.execute(sa.select(sa.literal(1)).select_from(table)).first()
        for table in (EVENTS, ANSWERS, MODELS)
    )


def begin_anew(connection: Connection, wanted: str) -> None:
    """Drop all tables and functions, and create the empty tables of a revision."""
    for name in reversed([*tables(connection), REVISIONS]):
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}"')
    if connection.dialect.name == "postgresql":
        for (name,) in connection.exec_driver_sql(_FUNCTIONS).all():
            connection.exec_driver_sql(f"DROP FUNCTION {name}")
    revisions.create(connection, MIGRATIONS, wanted)


@contextmanager
def unindexed(connection: Connection) -> Iterator[None]:
    """Drop the indexes that are not constraints, and recreate them after the block: faster than
    updating them with each row."""
    postgresql = connection.dialect.name == "postgresql"
    found = connection.exec_driver_sql(_INDEXES if postgresql else _SQLITE_INDEXES).all()
    for name, _ in found:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    yield
    for _, definition in found:
        connection.exec_driver_sql(definition)


_INDEXES = """SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class ON oid = indexrelid
WHERE relnamespace = current_schema()::regnamespace
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"""
_SQLITE_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"

_FUNCTIONS = """SELECT oid::regprocedure::text FROM pg_proc p
WHERE pronamespace = current_schema()::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"""
"""Functions that migrations created, without those of extensions."""


def dump(connection: Connection, table: str, columns: Sequence[str], out: IO[bytes]) -> int:
    """Write all rows and return their number."""
    driver = _driver(connection)
    if connection.dialect.name == "postgresql":
        with driver.cursor() as cursor:
            with cursor.copy(f"COPY {_named(table, columns)} TO STDOUT".encode()) as rows:
                for data in rows:
                    out.write(data)
            return int(cursor.rowcount)
    kinds = _kinds(connection, table)
    said = [_WRITTEN[kinds[column]] for column in columns]
    count = 0
    for row in driver.execute(f'SELECT {_listed(columns)} FROM "{table}"'):
        values = [_NOTHING if v is None else to(v) for to, v in zip(said, row, strict=True)]
        out.write("\t".join(values).encode() + b"\n")
        count += 1
    return count


def load(connection: Connection, table: str, columns: Sequence[str], rows: IO[bytes]) -> int:
    """Insert the rows of a dump and return their number. Raise ValueError if they are not rows of
    this table."""
    dbapi = connection.dialect.loaded_dbapi
    try:
        return _load(connection, table, columns, rows)
    except (dbapi.DataError, dbapi.IntegrityError, KeyError) as error:
        raise ValueError(table) from error


def _load(connection: Connection, table: str, columns: Sequence[str], rows: IO[bytes]) -> int:
    driver = _driver(connection)
    if connection.dialect.name == "postgresql":
        with driver.cursor() as cursor:
            with cursor.copy(f"COPY {_named(table, columns)} FROM STDIN".encode()) as into:
                while data := rows.read(CHUNK):
                    into.write(data)
            return int(cursor.rowcount)
    kinds = _kinds(connection, table)
    read = [_READ[kinds[column]] for column in columns]
    places = ", ".join("?" * len(columns))
    statement = f'INSERT INTO "{table}" ({_listed(columns)}) VALUES ({places})'
    count = 0
    while lines := list(islice(rows, BATCH)):
        driver.executemany(statement, [_values(line, read) for line in lines])
        count += len(lines)
    return count


def columns_of(connection: Connection, table: str) -> list[str]:
    return list(_kinds(connection, table))


def sequences(connection: Connection) -> dict[str, int]:
    """Return the highest number that was ever assigned, by table; a purge may have removed its
    row."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence").all()
        return {str(name): int(last) for name, last in found}
    return {
        table: int(connection.exec_driver_sql(f"SELECT last_value FROM {counter}").scalar() or 0)
        for table in tables(connection)
        if "sequence" in columns_of(connection, table)
        and (counter := _counter(connection, table)) is not None
    }


def set_sequences(connection: Connection, last: Mapping[str, int]) -> None:
    """Continue the sequences after these numbers."""
    for table, number in last.items():
        if connection.dialect.name == "postgresql":
            given = {"counter": _counter(connection, table), "number": max(number, 1)}
            connection.execute(sa.text("SELECT setval(:counter, :number)"), given)
        else:
            given = {"name": table, "seq": number}
            gone = sa.text("DELETE FROM sqlite_sequence WHERE name = :name")
            connection.execute(gone, given)
            connection.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:name, :seq)"), given)


def _counter(connection: Connection, table: str) -> str | None:
    asked = sa.text("SELECT pg_get_serial_sequence(:table, 'sequence')")
    return connection.execute(asked, {"table": table}).scalar()


def _driver(connection: Connection) -> Any:
    """Return the driver's connection, which reads millions of rows faster than SQLAlchemy."""
    return connection.connection.driver_connection


def _named(table: str, columns: Sequence[str]) -> str:
    return f'"{table}" ({_listed(columns)})'


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _kinds(connection: Connection, table: str) -> dict[str, type]:
    """Return the type of each column."""
    return {
        column["name"]: next(kind for sql, kind in _KINDS if isinstance(column["type"], sql))
        for column in sa.inspect(connection).get_columns(table)
    }


_KINDS: Sequence[tuple[type, type]] = (
    (sa.Boolean, bool),
    (sa.Integer, int),
    (sa.Float, float),
    (sa.LargeBinary, bytes),
    (object, str),
)
_WRITTEN: Mapping[type, Callable[[Any], str]] = {
    bool: lambda value: "t" if value else "f",
    int: str,
    float: lambda value: repr(float(value)),
    bytes: lambda value: "\\\\x" + value.hex(),
    str: lambda value: value.translate(_ESCAPED),
}
_READ: Mapping[type, Callable[[str], Any]] = {
    bool: lambda text: text == "t",
    int: int,
    float: float,
    bytes: lambda text: bytes.fromhex(text.removeprefix("\\\\x")),
    str: lambda text: re.sub(r"\\(.)", lambda found: _SHORT[found[1]], text),
}


def _values(line: bytes, read: Sequence[Callable[[str], Any]]) -> list[Any]:
    given = line.removesuffix(b"\n").decode().split("\t")
    return [None if v == _NOTHING else to(v) for to, v in zip(read, given, strict=True)]
