"""Sums over all shoppers' events in SQL, computed again in batches."""

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.signals import DEFAULTS, Signals
from ranker.record.count_queue import enqueue_shopper
from ranker.record.merged_owners import gate
from ranker.record.popularity_changes import COUNTED, recount
from ranker.record.rows import TableRecord
from ranker.record.tables import EVENTS
from servicekit.clock import now_micros
from servicekit.sql.database import Database


class RecountRecord(TableRecord):
    def __init__(self, database: Database, signals: Signals = DEFAULTS) -> None:
        """`signals`: the weights of events in popularity."""
        super().__init__(database)
        self._signals = signals

    async def sizes(self, catalog_id: str) -> tuple[int, int]:
        """Return the numbers of products and of shoppers with events of interest."""

        def read(connection: Connection) -> tuple[int, int]:
            counts = (
                sa.select(sa.func.count(sa.distinct(column))).where(*_counted(catalog_id))
                for column in (EVENTS.c.product_id, EVENTS.c.actor)
            )
            products, shoppers = (connection.execute(one).scalar() or 0 for one in counts)
            return products, shoppers

        return await self._db.read(read)

    async def products(self, catalog_id: str, after: str, limit: int) -> tuple[str, int]:
        """Sum the popularity of the next products after `after` again. Return the last one and
        their number."""

        def write(connection: Connection) -> tuple[str, int]:
            gate(connection, catalog_id, alone=True)
            found = _next(connection, catalog_id, EVENTS.c.product_id, after, limit)
            if found:
                recount(connection, catalog_id, found, self._signals)
            return (found or [after])[-1], len(found)

        return await self._db.write(write)

    async def shoppers(self, catalog_id: str, after: str, limit: int) -> tuple[str, int]:
        """Queue the days of the next shoppers after `after` for counting. Return the last one and
        their number."""

        def write(connection: Connection) -> tuple[str, int]:
            gate(connection, catalog_id, alone=False)
            found = _next(connection, catalog_id, EVENTS.c.actor, after, limit)
            for actor in found:
                enqueue_shopper(connection, catalog_id, (actor,), actor, now_micros())
            return (found or [after])[-1], len(found)

        return await self._db.write(write)


def _next(
    connection: Connection, catalog_id: str, column: sa.Column[str], after: str, limit: int
) -> list[str]:
    statement = sa.select(column).where(*_counted(catalog_id), column > after).distinct()
    return list(connection.execute(statement.order_by(column).limit(limit)).scalars())


def _counted(catalog_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return EVENTS.c.catalog_id == catalog_id, COUNTED
