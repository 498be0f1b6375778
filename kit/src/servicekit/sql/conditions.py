"""Conditions of SQL statements, and lookups of many values. Needs the extra `sql`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

_CHUNK: Final = 500
"""Values in one IN list."""


def on(table: sa.Table, **columns: Any) -> sa.ColumnElement[bool]:
    """Return the condition that columns of a table have these values."""
    return sa.and_(*(table.c[name] == column for name, column in columns.items()))


def among(table: sa.Table, column: str) -> sa.ColumnElement[bool]:
    """Return the condition for a catalog's rows with one of the given values; for `look_up`."""
    return sa.and_(
        table.c.catalog_id == sa.bindparam("catalog_id"),
        table.c[column].in_(sa.bindparam("among", expanding=True)),
    )


def look_up(
    connection: Connection, statement: sa.Select[Any], among: Iterable[str], of: Mapping[str, Any]
) -> Iterator[sa.Row[Any]]:
    """Return the rows of a prebuilt statement for the given values, in any order."""
    for chunk in chunks(list(dict.fromkeys(among))):
        yield from connection.execute(statement, {**of, "among": chunk})


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield values in parts that fit an IN list."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
