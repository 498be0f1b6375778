"""Events as rows to be exported, in SQL, in the order in which they were taken in."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ranker.domain.export_columns import COLUMNS
from ranker.domain.selection import Selection
from ranker.record.purges import conditions
from ranker.record.tables import EVENTS
from servicekit.sql import Database


class ExportRecord:
    """Events of all catalogs, to be read."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def last_sequence(self, catalog_id: str) -> int:
        """The newest event's place in the record's own order; 0 = there is none."""
        newest = sa.select(sa.func.max(EVENTS.c.sequence)).where(EVENTS.c.catalog_id == catalog_id)
        return await self._db.read(lambda connection: connection.execute(newest).scalar()) or 0

    async def count(self, extent: Selection) -> int:
        """How many events there are to export."""
        statement = sa.select(sa.func.count()).where(*conditions(extent))
        return await self._db.read(lambda connection: connection.execute(statement).scalar_one())

    async def rows(self, extent: Selection, after: int, limit: int) -> Sequence[Sequence[Any]]:
        """The next events after this place in the record's order, as values of `COLUMNS`."""
        t = EVENTS.c
        statement = (
            sa.select(*(t[one.stored] for one in COLUMNS))
            .where(*conditions(extent), t.sequence > after)
            .order_by(t.sequence)
            .limit(limit)
        )
        return await self._db.read(lambda connection: connection.execute(statement).all())
