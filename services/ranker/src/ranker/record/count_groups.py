"""Groups of counted products in SQL: their categories and price bands, by which counts are also
sorted. The retriever supplies them; until then a product has no group."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.counting import ALL
from ranker.record.counting import COUNTS, groups_of
from ranker.record.rows import TableRecord, upsert
from ranker.record.tables import COUNT_PRODUCTS, COUNT_RATES
from servicekit.sql.locks import lock


class GroupRecord(TableRecord):
    async def catalogs_due(self, catalogs: Sequence[str], before_micros: int) -> Sequence[str]:
        """Return the catalogs with products whose groups were not read from the retriever since
        then."""
        t = COUNT_PRODUCTS.c
        statement = (
            sa.select(t.catalog_id)
            .distinct()
            .where(t.catalog_id.in_(catalogs), t.read_micros < before_micros)
        )
        return await self._db.read(lambda connection: connection.execute(statement).scalars().all())

    async def due(self, catalog_id: str, before_micros: int, limit: int) -> Sequence[str]:
        """Return products whose groups were not read from the retriever since then, never-read ones
        first."""
        t = COUNT_PRODUCTS.c
        statement = (
            sa.select(t.product_id)
            .where(t.catalog_id == catalog_id, t.read_micros < before_micros)
            .order_by(t.read_micros)
            .limit(limit)
        )
        return await self._db.read(lambda connection: connection.execute(statement).scalars().all())

    async def keep(
        self, catalog_id: str, groups: Mapping[str, Sequence[str]], now_micros: int
    ) -> None:
        """Replace the groups of counted products."""
        await self._db.write(lambda connection: _keep(connection, catalog_id, groups, now_micros))


def _keep(
    connection: Connection, catalog_id: str, groups: Mapping[str, Sequence[str]], now_micros: int
) -> None:
    lock(connection, COUNTS)
    before = groups_of(connection, catalog_id, sorted(groups))
    moved = sorted(item for item, its in groups.items() if list(its) != list(before.get(item, ())))
    if moved:
        _move(connection, catalog_id, {item: groups[item] for item in moved})
    rows = [
        {
            "catalog_id": catalog_id,
            "product_id": item,
            "groups": json.dumps(list(its), ensure_ascii=False),
            "read_micros": now_micros,
        }
        for item, its in sorted(groups.items())
    ]
    if rows:
        upsert(connection, COUNT_PRODUCTS, rows)


def _move(connection: Connection, catalog_id: str, groups: Mapping[str, Sequence[str]]) -> None:
    t = COUNT_RATES.c
    theirs = (t.catalog_id == catalog_id, t.product_id.in_(sorted(groups)))
    connection.execute(sa.delete(COUNT_RATES).where(*theirs, t.grp != ALL))
    counted = connection.execute(sa.select(COUNT_RATES).where(*theirs)).mappings().all()
    rows: list[dict[str, Any]] = [
        {**row, "grp": group} for row in counted for group in groups[row["product_id"]]
    ]
    if rows:
        connection.execute(sa.insert(COUNT_RATES), rows)
