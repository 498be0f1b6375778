"""The queue of a catalog's writers: each waits for it before it reads what it changes."""

from sqlalchemy import Connection

from servicekit.sql import commit_order
from servicekit.sql.commit_order import CatalogWrites
from vision.record.tables import sequences


def queue_up(connection: Connection, catalog_id: str) -> int:
    """Wait until no other transaction writes to the catalog. Return its newest commit."""
    return commit_order.queue_up(connection, sequences, catalog_id)


class Session(CatalogWrites):
    """Writes to one catalog within one transaction."""

    def __init__(self, connection: Connection, catalog_id: str, now: int) -> None:
        super().__init__(connection, sequences, catalog_id, now)
