"""The queue of a catalog's writers: each waits for it before it reads what it changes."""

from sqlalchemy import Connection

from retriever.record import tables
from servicekit.sql import commit_order


def queue_up(connection: Connection, catalog_id: str) -> int:
    """Wait until no other transaction writes to the catalog. Return its newest commit."""
    return commit_order.queue_up(connection, tables.sequences, catalog_id)
