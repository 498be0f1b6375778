"""The queue of a catalog's writers: each waits for it before it reads what it changes."""

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.record import tables
from servicekit.sql.locks import noted
from servicekit.sql.resources import put

_HEAD = (
    sa.select(tables.sequences.c.seq)
    .where(tables.sequences.c.catalog_id == sa.bindparam("catalog_id"))
    .with_for_update()
)


def queue_up(connection: Connection, catalog_id: str) -> int:
    """Wait until no other transaction writes to the catalog. Return its newest commit.

    On PostgreSQL the catalog's writers queue here; on SQLite, BEGIN IMMEDIATE has locked the file.
    """
    noted(connection)
    values = {"catalog_id": catalog_id}
    head = connection.execute(_HEAD, values).scalar()
    if head is None:
        put(connection, tables.sequences, [{**values, "seq": 0, "time": 0}], keep=True)
        head = connection.execute(_HEAD, values).scalar_one()
    return int(head)
