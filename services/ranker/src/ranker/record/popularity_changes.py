"""Events that leave the popularity of products, or return to it.

It is summed again over the remaining events, because a difference of two sums is inaccurate if
nearly all of a sum goes.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import Purpose
from ranker.domain.signals import Signals
from ranker.record import consents, popularity
from ranker.record.shopper_history import INTERACTION, interaction_of
from ranker.record.tables import EVENTS, KIND_INTEREST, POPULARITY

OF_INTEREST = EVENTS.c.kind == sa.literal_column(f"'{KIND_INTEREST}'")
COUNTED = sa.and_(OF_INTEREST, EVENTS.c.product_id > sa.literal_column("''"))
"""All events of interest, in the exact terms of the index events_product: with parameters, or
without the product, the index would not be used."""


def withdraw(
    connection: Connection,
    catalog_id: str,
    lost: Mapping[str, float],
    signals: Signals,
    *,
    partly: Callable[[str], bool] = lambda _: True,
) -> None:
    """Subtract the products' losses, base-2 logarithms, from their popularity: as a difference if a
    product is in `partly` and loses less than half, otherwise by recounting its remaining
    events. As in all of this module, the caller holds the catalog's lock alone."""
    if not lost:
        return
    known = popularity.log_counts(connection, catalog_id, sorted(lost))
    kept: dict[str, float] = {}
    for product, taken in lost.items():
        before = known.get(product, -math.inf)
        if partly(product) and before > taken + 1:
            kept[product] = before + math.log2(1 - 2.0 ** (taken - before))
    _replace(connection, catalog_id, lost.keys() - kept.keys(), signals, kept)


def give_back(connection: Connection, catalog_id: str, gains: Mapping[str, float]) -> None:
    """Add the products' gains, base-2 logarithms, to their popularity."""
    if gains:
        known = popularity.log_counts(connection, catalog_id, sorted(gains))
        each = {item: [gain, known.get(item, -math.inf)] for item, gain in gains.items()}
        popularity.keep_log_counts(connection, catalog_id, popularity.summed(each))


def recount(
    connection: Connection, catalog_id: str, product_ids: Sequence[str], signals: Signals
) -> None:
    """Sum the popularity of these products again over all events."""
    _replace(connection, catalog_id, set(product_ids), signals, {})


def _replace(
    connection: Connection,
    catalog_id: str,
    product_ids: set[str],
    signals: Signals,
    kept: Mapping[str, float],
) -> None:
    """Store the counts of `kept`, and those of these products, summed again."""
    counts = {**kept, **_counted(connection, catalog_id, sorted(product_ids), signals)}
    if counts:
        popularity.keep_log_counts(connection, catalog_id, counts)
    t, empty = POPULARITY.c, sorted(product_ids - counts.keys())
    if empty:
        connection.execute(
            sa.delete(POPULARITY).where(t.catalog_id == catalog_id, t.product_id.in_(empty))
        )


def _counted(
    connection: Connection, catalog_id: str, product_ids: Sequence[str], signals: Signals
) -> dict[str, float]:
    """Return base-2 logarithms of counts, summed over events; none without events."""
    t = EVENTS.c
    permitted = consents.permits(connection, catalog_id, Purpose.TRAIN, t.actor)
    statement = sa.select(*INTERACTION).where(
        t.catalog_id == catalog_id, COUNTED, t.product_id.in_(product_ids), permitted
    )
    return popularity.sums(map(interaction_of, connection.execute(statement)), signals)
