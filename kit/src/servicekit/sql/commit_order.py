"""Commit sequences of catalogs: each write takes the next number of its catalog. Needs the extra
`sql`.

The number's row is locked until the commit, so numbers become visible in order, also on PostgreSQL.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql import conditions
from servicekit.sql.locks import noted
from servicekit.sql.resources import put


@cache
def _head(sequences: sa.Table) -> sa.Select[Any]:
    mine = sequences.c.catalog_id == sa.bindparam("catalog_id")
    return sa.select(sequences.c.seq).where(mine).with_for_update()


@cache
def _advance(sequences: sa.Table) -> sa.Update:
    mine = sequences.c.catalog_id == sa.bindparam("of_catalog")
    return (
        sa.update(sequences).where(mine).values(seq=sa.bindparam("seq"), time=sa.bindparam("time"))
    )


def queue_up(connection: Connection, sequences: sa.Table, catalog_id: str) -> int:
    """Wait until no other transaction writes to the catalog. Return its newest commit.

    On PostgreSQL the catalog's writers queue here; on SQLite, BEGIN IMMEDIATE has locked the file.
    `sequences`: the table with the columns catalog_id, seq and time.
    """
    noted(connection)
    values = {"catalog_id": catalog_id}
    head = connection.execute(_head(sequences), values).scalar()
    if head is None:
        put(connection, sequences, [{**values, "seq": 0, "time": 0}], keep=True)
        head = connection.execute(_head(sequences), values).scalar_one()
    return int(head)


class CatalogWrites:
    """Writes to one catalog within one transaction."""

    def __init__(
        self, connection: Connection, sequences: sa.Table, catalog_id: str, now: int
    ) -> None:
        self.connection = connection
        self.catalog_id = catalog_id
        self.now = now
        """Microseconds since 1970 (UTC)."""
        self._sequences = sequences
        self.head = queue_up(connection, sequences, catalog_id)
        """The catalog's newest commit."""

    def look_up(
        self, statement: sa.Select[Any], values: Iterable[str], **of: str | int
    ) -> Iterator[sa.Row[Any]]:
        """Yield the catalog's rows of a statement for the given values, unordered."""
        mine = {**of, "catalog_id": self.catalog_id}
        return conditions.look_up(self.connection, statement, values, mine)

    def take(self, count: int = 1) -> range:
        """Reserve the numbers of `count` new commits, and return them."""
        taken = range(self.head + 1, self.head + 1 + count)
        if taken:
            self.head += count
            self.connection.execute(
                _advance(self._sequences),
                {"of_catalog": self.catalog_id, "seq": self.head, "time": self.now},
            )
        return taken
