"""Deletes the rows of a catalog. Needs the extra `sql`."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa


def remove_rows(
    connection: sa.Connection,
    metadata: sa.MetaData,
    kept: Collection[sa.Table],
    catalog_id: str,
    limit: int,
) -> int:
    """Delete up to `limit` rows of a catalog from one of the tables, but those that are `kept`.

    Return their number; 0: there are no more.
    """
    place = "ctid" if connection.dialect.name == "postgresql" else "rowid"
    for table in reversed(metadata.sorted_tables):  # rows before those that they refer to
        if "catalog_id" not in table.c or table in kept:
            continue
        of_catalog = table.c.catalog_id == catalog_id
        some: sa.Select[Any] = (
            sa.select(sa.literal_column(place)).select_from(table).where(of_catalog).limit(limit)
        )
        gone = sa.delete(table).where(sa.literal_column(place).in_(some))
        if done := connection.execute(gone).rowcount:
            return done
    return 0
