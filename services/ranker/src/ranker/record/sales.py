"""Units of products sold on each day, from the counts that the worker maintains."""

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.arrays import Ints
from ranker.domain.counting import ALL
from ranker.domain.sales import CountedSales, ProductSales
from ranker.record.rows import TableRecord
from ranker.record.tables import COUNT_DAYS

_TYPE = np.dtype("<i4")


class SalesRecord(TableRecord):
    """Reader of sales by day."""

    async def sold(
        self, catalog_id: str, product_ids: Sequence[str], first_day: int, before_day: int
    ) -> CountedSales:
        """Return the units of up to MOST_PRODUCTS products on the days from `first_day` to before
        `before_day`, all shoppers together."""

        def read(connection: Connection) -> CountedSales:
            return _sold(connection, catalog_id, product_ids, range(first_day, before_day))

        return await self._db.read(read)


def _sold(
    connection: Connection, catalog_id: str, product_ids: Sequence[str], days: range
) -> CountedSales:
    t = COUNT_DAYS.c
    asked = sa.select(t.product_id, t.days).where(
        t.catalog_id == catalog_id, t.segment == ALL, t.product_id.in_([ALL, *product_ids])
    )
    tables: dict[str, Ints] = {
        row.product_id: np.frombuffer(row.days, _TYPE).reshape(-1, 3).astype(np.int64)
        for row in connection.execute(asked)
    }
    known = [] if ALL not in tables else [day for day in tables[ALL][:, 0].tolist() if day in days]
    return CountedSales(
        min(known, default=0),
        max(known, default=0),
        [
            ProductSales() if item not in tables else _product(tables[item], days)
            for item in product_ids
        ],
    )


def _product(table: Ints, days: range) -> ProductSales:
    return ProductSales(
        int(table[:, 0].min()),
        {day: units for day, _, units in table.tolist() if units and day in days},
    )
