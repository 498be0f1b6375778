"""Deletes events in SQL, a batch at a time, and takes them out of the popularity of their products.

A batch and what it takes away are one transaction: at any moment the popularity of a product is the
sum over the events that are there. It is summed anew over what is left of the product, because a
difference of two sums says little when nearly all of a sum goes; only while a product with more
events than a batch takes loses less than half of its sum at a time, the difference is good enough:
a day of which something is left counts too little until the product's last batch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.selection import PurgeCount, Purged, PurgePlace, Selection
from ranker.domain.signals import DEFAULTS, Signals
from ranker.record import popularity
from ranker.record.aliases import gate, owner
from ranker.record.tables import EVENTS, KIND_INTEREST, POPULARITY
from servicekit.sql import Database

_INTEREST = EVENTS.c.kind == sa.literal_column(f"'{KIND_INTEREST}'")
_COUNTED = sa.and_(_INTEREST, EVENTS.c.product_id > sa.literal_column("''"))
"""All events of interest, in the words of the index events_product: with parameters in them, or
without the product, it would not be used."""


class PurgeRecord:
    """Events of all catalogs, to be deleted."""

    def __init__(self, database: Database, signals: Signals = DEFAULTS) -> None:
        """`signals`: what events count for popularity."""
        self._db = database
        self._signals = signals

    async def owner(self, catalog_id: str, actor: str) -> str:
        """Under whose pseudonym the events of `actor` are kept."""
        return await self._db.read(lambda connection: owner(connection, catalog_id, actor))

    async def count(self, selection: Selection) -> PurgeCount:
        """How many events fit, and from when to when."""
        t = EVENTS.c
        statement = sa.select(
            sa.func.count(),
            sa.func.min(t.time_micros),
            sa.func.max(t.time_micros),
            sa.func.max(t.sequence),
        ).where(*conditions(selection))
        row = await self._db.read(lambda connection: connection.execute(statement).one())
        return PurgeCount(row[0], row[1], row[2], row[3] or 0)

    async def delete(self, selection: Selection, place: PurgePlace, limit: int) -> Purged:
        """Delete the next events that fit from `place` on, at most `limit` of them."""
        return await self._db.write(lambda c: _delete(c, selection, place, limit, self._signals))


def conditions(selection: Selection) -> Iterable[sa.ColumnElement[bool]]:
    """What events that fit are found by."""
    t = EVENTS.c
    yield t.catalog_id == selection.catalog_id
    if selection.from_micros is not None:
        yield t.time_micros >= selection.from_micros
    if selection.before_micros is not None:
        yield t.time_micros < selection.before_micros
    if selection.types:
        yield t.type.in_([one.value for one in selection.types])
    if selection.product_id:
        yield t.product_id == selection.product_id
    if selection.actor:
        yield t.actor == selection.actor
    if selection.last_sequence is not None:
        yield t.sequence <= selection.last_sequence


def _delete(
    connection: Connection, selection: Selection, place: PurgePlace, limit: int, signals: Signals
) -> Purged:
    gate(connection, selection.catalog_id, alone=True)
    rows = connection.execute(batch_query(selection, place, limit)).all()
    if rows:
        sequences = [row.sequence for row in rows]
        connection.execute(sa.delete(EVENTS).where(EVENTS.c.sequence.in_(sequences)))
    if not place.counted:
        over = len(rows) < limit
        return Purged(len(rows), None if over else PurgePlace(False, "", rows[-1].sequence))
    if len(rows) < limit:
        _withdraw(connection, selection.catalog_id, rows, signals, unfinished="")
        return Purged(len(rows), PurgePlace(counted=False))
    last = rows[-1].product_id
    _withdraw(connection, selection.catalog_id, rows, signals, unfinished=last)
    return Purged(len(rows), PurgePlace(True, last, rows[-1].sequence))


def batch_query(selection: Selection, place: PurgePlace, limit: int) -> sa.Select[*tuple[Any, ...]]:
    """The next events that fit: first, product by product, those that count in popularity; then
    the others."""
    t = EVENTS.c
    statement = sa.select(*popularity.SAID, t.sequence).where(*conditions(selection)).limit(limit)
    if not place.counted:
        others = statement.where(sa.not_(_INTEREST), t.sequence > place.sequence)
        return others.order_by(t.sequence)
    # One shopper's events are found by their pseudonym: other words than the index's, and an
    # expression, keep SQLite from walking through all products for their sake.
    product = t.product_id.concat("") if selection.actor else t.product_id
    after = sa.tuple_(product, t.sequence) > (place.product_id, place.sequence)
    counted = _INTEREST if selection.actor else _COUNTED
    return statement.where(counted, after).order_by(product, t.sequence)


def _withdraw(
    connection: Connection,
    catalog_id: str,
    rows: Sequence[sa.Row[*tuple[Any, ...]]],
    signals: Signals,
    *,
    unfinished: str,
) -> None:
    """Correct the popularity of the products of these events, which are gone."""
    gone = popularity.sums((popularity.said_of(row[:-1]) for row in rows), signals)
    known = popularity.log_counts(connection, catalog_id, tuple(gone), lock=True)
    kept: dict[str, float] = {}
    if unfinished in gone and known.get(unfinished, -math.inf) > gone[unfinished] + 1:
        before, taken = known[unfinished], gone.pop(unfinished)
        kept[unfinished] = before + math.log2(1 - 2.0 ** (taken - before))
    settle(connection, catalog_id, kept, tuple(gone), signals)


def settle(
    connection: Connection,
    catalog_id: str,
    kept: Mapping[str, float],
    anew: Sequence[str],
    signals: Signals,
) -> None:
    """Keep these counts of products, as base-2 logarithms, and count others anew."""
    counted = _counted_anew(connection, catalog_id, anew, signals)
    if kept or counted:
        popularity.keep_log_counts(connection, catalog_id, {**kept, **counted})
    t, empty = POPULARITY.c, sorted(set(anew) - counted.keys())
    if empty:
        connection.execute(
            sa.delete(POPULARITY).where(t.catalog_id == catalog_id, t.product_id.in_(empty))
        )


def _counted_anew(
    connection: Connection, catalog_id: str, items: Sequence[str], signals: Signals
) -> dict[str, float]:
    """Base-2 logarithms of the products' counts as their events make them; none without events."""
    t = EVENTS.c
    statement = sa.select(*popularity.SAID).where(
        t.catalog_id == catalog_id, _COUNTED, t.product_id.in_(items)
    )
    return popularity.sums(map(popularity.said_of, connection.execute(statement)), signals)
