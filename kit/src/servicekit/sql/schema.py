"""Columns and indexes by kind, for tables and their migrations.

Never change the columns that these functions return: a migration must always create the same ones.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa


class _StorableText(sa.types.TypeDecorator[str]):
    """Text without NUL.

    PostgreSQL rejects NUL, which callers may send in an id. It is replaced by another control
    character: no stored id contains one, so the lookup finds nothing, as it should.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else value.replace("\0", "\1")


STORABLE_TEXT: Any = _StorableText().with_variant(_StorableText(collation="C"), "postgresql")
"""Text of callers, without NUL, that sorts by code point on every database, as on SQLite."""


def keys(*names: str, kind: Any = sa.Text) -> Iterable[sa.Column[Any]]:
    """Return columns of a primary key."""
    return [sa.Column(name, kind, primary_key=True) for name in names]


def texts(*names: str, kind: Any = sa.Text) -> Iterable[sa.Column[Any]]:
    """Return text columns that are NOT NULL."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def numbers(*names: str, kind: Any = sa.BigInteger) -> Iterable[sa.Column[Any]]:
    """Return number columns that are NOT NULL."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def flags(*names: str) -> Iterable[sa.Column[Any]]:
    """Return boolean columns that are NOT NULL."""
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def given(name: str, kind: Any, default: Any) -> sa.Column[Any]:
    """Return a column that is NOT NULL and has a default."""
    return sa.Column(name, kind, nullable=False, server_default=default)


def partial_index(name: str, *columns: str, where: str) -> sa.Index:
    """Return an index of the rows that fulfil a condition."""
    rows = sa.text(where)
    return sa.Index(name, *columns, sqlite_where=rows, postgresql_where=rows)
