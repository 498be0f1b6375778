"""Popularity of products in SQL.

A product's popularity is the sum over shoppers and days (UTC) of the strongest event of the shopper
with it on that day (signals.py), halved for every year that has passed. A shopper who opens a
product a thousand times a day therefore counts no more than one who opens it once.

It is stored as the base-2 logarithm of that sum, relative to a fixed time: the passage of time
scales all sums by the same factor, which changes neither their order nor their shares, and an event
is added in the transaction that stores it.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.arrays import Doubles
from ranker.domain.events import DAY_MICROS, Interaction
from ranker.domain.log import TYPES
from ranker.domain.signals import INTEREST, Signals, event_weights
from ranker.record.rows import Among, RowsStatement, upsert
from ranker.record.shopper_history import INTERACTION, interaction_of
from ranker.record.tables import POPULARITY

HALF_LIFE_MICROS = 365 * DAY_MICROS
ORIGIN_MICROS = 1_577_836_800_000_000
"""2020-01-01. Any fixed time would do."""


Day = tuple[str, str, int]
"""A product, a shopper, and a day since 1970: the unit that counts once."""


def add(
    connection: Connection, catalog_id: str, said: Sequence[Interaction], signals: Signals
) -> None:
    """Count events that are about to be stored. Call it before they are stored."""
    after = by_day(said, signals)
    if not after:
        return
    products = sorted({product for product, _, _ in after})
    known = locked_counts(connection, catalog_id, products)
    before = by_day(stored_on(connection, catalog_id, after), signals)
    gains = {product: [known.get(product, -math.inf)] for product in products}
    for day, strongest in after.items():
        if strongest > (earlier := before.get(day, -math.inf)):
            gains[day[0]].append(strongest + math.log2(1 - 2.0 ** (earlier - strongest)))
    keep_log_counts(connection, catalog_id, summed(gains))


def by_day(said: Iterable[Interaction], signals: Signals) -> dict[Day, float]:
    """Return base-2 logarithms of the strongest event of each product, shopper and day.

    Events without interest in a product are left out, and those of unproven shoppers: all sums of
    popularity come from here, whether events are added, withdrawn, given back or counted again.
    """
    counted = [one for one in said if one.type in INTEREST and not one.unproven]
    if not counted:
        return {}
    weights = event_weights(
        np.array([TYPES.index(one.type) for one in counted]),
        np.array([math.nan if one.value is None else one.value for one in counted]),
        np.array([max(one.quantity, 1) for one in counted]),
        signals,
    )
    found: dict[Day, float] = {}
    for one, weight in zip(counted, weights.tolist(), strict=True):
        if weight > 0:
            day = (one.product_id, one.actor, one.time_micros // DAY_MICROS)
            gain = math.log2(weight) + (one.time_micros - ORIGIN_MICROS) / HALF_LIFE_MICROS
            found[day] = max(gain, found.get(day, -math.inf))
    return found


def sums(said: Iterable[Interaction], signals: Signals) -> dict[str, float]:
    """Return base-2 logarithms of these events' counts by product, without zero counts."""
    gains: dict[str, list[float]] = {}
    for (product, _, _), gain in by_day(said, signals).items():
        gains.setdefault(product, []).append(gain)
    return summed(gains)


def locked_counts(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, float]:
    """Return what `log_counts` does of sorted products, with the counts of other transactions that
    are under way: these end first. Products without a row get one, because a lock needs a row."""
    if connection.dialect.name == "postgresql":
        connection.execute(_ROWS, {"catalog_id": catalog_id, "ids": list(product_ids)})
    return log_counts(connection, catalog_id, product_ids, lock=True)


_ROWS = sa.text(
    """
    INSERT INTO popularity (catalog_id, product_id, log_count)
    SELECT CAST(:catalog_id AS text), asked.id, CAST('-Infinity' AS double precision)
    FROM unnest(CAST(:ids AS text[])) AS asked (id)
    WHERE NOT EXISTS (
        SELECT 1 FROM popularity
        WHERE catalog_id = CAST(:catalog_id AS text) AND product_id = asked.id
    )
    ORDER BY asked.id ON CONFLICT DO NOTHING
    """
)
"""Rows for products without a count. All are inserted, in order, before any is locked, so that two
transactions don't wait for each other."""


def log_counts(
    connection: Connection, catalog_id: str, product_ids: Sequence[str], *, lock: bool = False
) -> dict[str, float]:
    """Return base-2 logarithms of the counts of those products that have one."""
    t = POPULARITY.c
    statement = sa.select(t.product_id, t.log_count).where(
        t.catalog_id == catalog_id, t.product_id.in_(product_ids)
    )
    if lock:
        statement = statement.order_by(t.product_id).with_for_update()
    return {row.product_id: row.log_count for row in connection.execute(statement)}


def keep_log_counts(connection: Connection, catalog_id: str, counts: Mapping[str, float]) -> None:
    """Replace the products' counts, given as base-2 logarithms."""
    rows = [
        {"catalog_id": catalog_id, "product_id": item, "log_count": log}
        for item, log in sorted(counts.items())
    ]
    upsert(connection, POPULARITY, rows)


def shares(connection: Connection, catalog_id: str, product_ids: Sequence[str]) -> Doubles:
    """Return for each product its share of the most popular one's count, 0 to 1."""
    given = {"catalog_id": catalog_id}
    ((most,),) = _MOST.of(connection, given)
    if most is None:
        return np.zeros(len(product_ids))
    known = _COUNTS.pairs(connection, {**given, "ids": [*product_ids]})
    asked_logs = map(known.get, product_ids, repeat(-np.inf))
    logs = np.fromiter(asked_logs, np.float64, len(product_ids))
    found_shares: Doubles = np.exp2(logs - most)
    return found_shares


def most_popular(
    connection: Connection, catalog_id: str, count: int
) -> tuple[tuple[str, float], ...]:
    """Return the most popular products with their shares, best first; ties by id."""
    found = _FIRST.of(connection, {"catalog_id": catalog_id, "count": count})
    return tuple((item, 2.0 ** (log - found[0][1])) for item, log in found)


def stored_on(
    connection: Connection, catalog_id: str, days: Iterable[Day]
) -> Iterable[Interaction]:
    """Return the stored events of interest of these shoppers on these days."""
    asked = sorted({(actor, day * DAY_MICROS) for _, actor, day in days})
    if not asked:
        return ()
    given: dict[str, Any] = {"catalog_id": catalog_id, "day": DAY_MICROS}
    dialect = connection.dialect.name
    if dialect == "postgresql":
        given["actors"], given["since"] = map(list, zip(*asked, strict=True))
    else:
        given["pairs"] = json.dumps(asked)
    return map(interaction_of, connection.execute(_STORED_ON[dialect], given))


_COLUMNS = ", ".join(f"events.{column.name}" for column in INTERACTION)
_STORED_ON = {
    "sqlite": sa.text(
        f"""
        SELECT {_COLUMNS} FROM json_each(:pairs) AS asked CROSS JOIN events
        WHERE catalog_id = :catalog_id AND actor = asked.value ->> 0 AND kind = 'INTEREST'
            AND time_micros >= asked.value ->> 1 AND time_micros < (asked.value ->> 1) + :day
        """  # noqa: S608 - constants of this module
    ),
    "postgresql": sa.text(
        f"""
        SELECT found.* FROM unnest(CAST(:actors AS text[]), CAST(:since AS bigint[]))
            AS asked (actor, since) CROSS JOIN LATERAL (
                SELECT {_COLUMNS} FROM events
                WHERE catalog_id = :catalog_id AND actor = asked.actor AND kind = 'INTEREST'
                    AND time_micros >= asked.since AND time_micros < asked.since + :day
                OFFSET 0
            ) AS found
        """  # noqa: S608 - constants of this module
    ),
}
"""One lookup into the index of histories for each pair: SQLite's CROSS JOIN and PostgreSQL's OFFSET
prevent a scan of all events. The pairs are parameters: compiling lists of variable length took
longer than the rest of a write."""


_OF_CATALOG = "FROM popularity WHERE catalog_id = :catalog_id"
_MOST = RowsStatement(sa.text(f"SELECT max(log_count) {_OF_CATALOG}"))
_FIRST = RowsStatement(
    sa.text(
        f"SELECT product_id, log_count {_OF_CATALOG} ORDER BY log_count DESC, product_id"
        " LIMIT :count"
    )
)
_COUNTS = RowsStatement(
    sa.select(POPULARITY.c.product_id, POPULARITY.c.log_count).where(
        POPULARITY.c.catalog_id == sa.bindparam("catalog_id"),
        Among(POPULARITY.c.product_id, "ids"),
    )
)


def summed(gains: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the sums by product, all as base-2 logarithms."""
    return {product: float(np.logaddexp2.reduce(each)) for product, each in gains.items()}
