"""Removal of what is stored of removed catalogs."""

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.catalogs.rows import remove_rows
from vision.record.queueing import queue_up
from vision.record.tables import audit_outbox, metadata, sequences


def read_keys(connection: Connection) -> list[str]:
    """Return the keys of all catalogs of which anything was ever stored."""
    query = sa.select(sequences.c.catalog_id).order_by(sequences.c.catalog_id)
    return list(connection.execute(query).scalars())


def remove_catalog_rows(connection: Connection, catalog_id: str, limit: int) -> int:
    """Delete up to `limit` rows of a catalog, last the one that counts its commits. Return their
    number; 0: there are no more."""
    queue_up(connection, catalog_id)
    kept = (audit_outbox, sequences)
    if done := remove_rows(connection, metadata, kept, catalog_id, limit):
        return done
    connection.execute(sa.delete(sequences).where(sequences.c.catalog_id == catalog_id))
    return 0
