"""Reads of counts in SQL for requests: one statement of each kind.

Indexes hold the rows in this order: of a product, at most NEAREST related products that occurred
with it most often; for trends, the MOST_RECENT products with the most recent interest.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.counting import ALL, NOTHING
from ranker.domain.recommenders import Counted, CountScope, CountsQuery, Near
from ranker.record.rows import Among, RowsStatement, TableRecord
from ranker.record.tables import COUNT_GAPS
from servicekit.clock import now_micros

NEAREST = 200
"""Related products read of one product. Rarer ones would not be among the first of a list, unless
all of these are sold to everyone."""
MOST_NEAR, LEAST_NEAR = 1_000, 50
"""Related products of all requested products: with many products fewer of each, but at least
LEAST_NEAR."""
MOST_DAYS = 500
"""Number of newest days with purchases of a shopper."""


_NEAR_OF: Callable[[Sequence[Any]], Near] = partial(tuple.__new__, Near)
"""A product of a row; the constructor takes three times as long."""


class CountRecord(TableRecord):
    """Reader of counts; a ports.CountReader."""

    async def counted(self, catalog_id: str, asked: CountsQuery) -> Counted:
        """Return the result of the query, from one snapshot of the record."""
        now = now_micros()

        def read(connection: Connection) -> Counted:
            return _counted(connection, catalog_id, asked, now)

        return await self._db.read(read)


def _counted(connection: Connection, catalog_id: str, asked: CountsQuery, now: int) -> Counted:
    given = {"catalog_id": catalog_id}
    purchases = _purchases(connection, given | {"actor": asked.actor}) if asked.actor else []
    items = sorted({item for _, bought in purchases for item in bought})
    oldest = _OLDEST.of(connection, given)
    return Counted(
        near=_near(connection, given, asked.near) if asked.near else (),
        trending=[
            (item, short, long)
            for item, short, long, _ in _ranked(
                "log_short", connection, given, asked, asked.trending
            )
        ],
        whole=_whole(connection, given, asked) if asked.trending else None,
        best=[
            (item, sold)
            for item, _, _, sold in _ranked("log_sold", connection, given, asked, asked.best)
        ],
        purchases=purchases,
        gaps=_gaps(connection, given, [*items, ALL]) if items else {},
        lag_micros=max(now - oldest[0][0], 0) if oldest else 0,
    )


def _near(
    connection: Connection, given: Mapping[str, Any], asked: Sequence[tuple[str, str]]
) -> Sequence[Near]:
    """Return the neighbours of these products, and the days counted of each kind (ALL beside
    ALL)."""
    wanted = [*asked, *((kind, ALL) for kind in sorted({kind for kind, _ in asked}))]
    kinds, items = map(list, zip(*wanted, strict=True))
    most = max(min(NEAREST, MOST_NEAR // len(wanted)), LEAST_NEAR)
    lists = {"kinds": kinds, "items": items}
    found = _NEAR[connection.dialect.name].of(connection, {**given, **lists, "most": most})
    return list(map(_NEAR_OF, found))


def _ranked(
    by: str, connection: Connection, given: Mapping[str, Any], asked: CountsQuery, count: int
) -> Sequence[Sequence[Any]]:
    """Return the first products by a decayed count within the scope."""
    if not count:
        return ()
    scope: CountScope = asked.scope
    first, *others = scope.groups or (ALL,)
    values = {**given, "segment": scope.segment, "grp": first, "most": count}
    if others:
        values["other"] = others[0]
    return _RANKED[by, bool(others)].of(connection, values)


def _whole(
    connection: Connection, given: Mapping[str, Any], asked: CountsQuery
) -> tuple[float, float] | None:
    found = _WHOLE.of(connection, {**given, "segment": asked.scope.segment})
    return (found[0][0], found[0][1]) if found else None


def _purchases(
    connection: Connection, given: Mapping[str, Any]
) -> list[tuple[int, Mapping[str, int]]]:
    return [(day, json.loads(bought)) for day, bought in _BOUGHT.of(connection, given)]


def _gaps(
    connection: Connection, given: Mapping[str, Any], items: list[str]
) -> Mapping[str, Mapping[int, int]]:
    found: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for item, gap, count in _GAPS.of(connection, {**given, "items": items}):
        found[item][gap] = count
    return found


_PAIR = "one.kind, one.product_id, one.other_id, one.count, own.count"
_OWN = (
    "LEFT JOIN count_pairs AS own ON own.catalog_id = :catalog_id AND own.kind = one.kind"
    " AND own.product_id = one.other_id AND own.other_id = one.other_id"
)
_FIRST = "ORDER BY near.count DESC, near.other_id DESC LIMIT :most"
_NEAR = {
    "sqlite": RowsStatement(
        sa.text(
            f"""
            SELECT {_PAIR} FROM json_each(:items) AS asked CROSS JOIN count_pairs AS one {_OWN}
            WHERE one.rowid IN (
                SELECT near.rowid FROM count_pairs AS near
                WHERE near.catalog_id = :catalog_id
                    AND near.kind = json_extract(:kinds, '$[' || asked.key || ']')
                    AND near.product_id = asked.value
                {_FIRST}
            )
            """  # noqa: S608 - constants of this module
        )
    ),
    "postgresql": RowsStatement(
        sa.text(
            f"""
            SELECT {_PAIR} FROM unnest(CAST(:kinds AS text[]), CAST(:items AS text[]))
                AS asked (kind, product_id) CROSS JOIN LATERAL (
                    SELECT near.* FROM count_pairs AS near
                    WHERE near.catalog_id = :catalog_id AND near.kind = asked.kind
                        AND near.product_id = asked.product_id
                    {_FIRST}
                ) AS one {_OWN}
            """  # noqa: S608 - constants of this module
        )
    ),
}
"""One index lookup for each requested product."""

_ALSO = """
    AND EXISTS (
        SELECT 1 FROM count_rates AS also WHERE also.catalog_id = :catalog_id
            AND also.product_id = rates.product_id AND also.segment = :segment
            AND also.grp = :other
    )
"""
_RANKED = {
    (by, several): RowsStatement(
        sa.text(
            f"""
            SELECT product_id, log_short, log_long, log_sold FROM count_rates AS rates
            WHERE catalog_id = :catalog_id AND segment = :segment AND grp = :grp
                AND product_id <> '{ALL}' {_ALSO if several else ""}
            ORDER BY {by} DESC, product_id DESC LIMIT :most
            """  # noqa: S608 - constants of this module
        )
    )
    for by in ("log_short", "log_sold")
    for several in (False, True)
}

_WHOLE = RowsStatement(
    sa.text(
        "SELECT log_short, log_long FROM count_rates WHERE catalog_id = :catalog_id"  # noqa: S608
        f" AND product_id = '{ALL}' AND segment = :segment AND grp = '{ALL}'"
    )
)

_BOUGHT = RowsStatement(
    sa.text(
        "SELECT day, bought FROM count_units WHERE catalog_id = :catalog_id AND actor = :actor"  # noqa: S608
        f" AND bought <> '{NOTHING}' ORDER BY day DESC LIMIT {MOST_DAYS}"
    )
)
_GAPS = RowsStatement(
    sa.select(COUNT_GAPS.c.product_id, COUNT_GAPS.c.gap, COUNT_GAPS.c.count).where(
        COUNT_GAPS.c.catalog_id == sa.bindparam("catalog_id"),
        Among(COUNT_GAPS.c.product_id, "items"),
    )
)
_OLDEST = RowsStatement(
    sa.text(
        "SELECT created_micros FROM count_queue WHERE catalog_id = :catalog_id"
        " ORDER BY sequence LIMIT 1"
    )
)
"""Oldest event that is not counted yet."""
