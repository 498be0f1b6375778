"""Selected events in SQL: counts, exports, and deletion in batches.

One transaction deletes a batch and updates the popularity of its products, so that popularity
always equals the sum over the stored events. It is summed again over the remaining events, because
a difference of two sums is inaccurate if nearly all of a sum goes. Only for a product with more
events than a batch, and while less than half of its sum is deleted at a time, the difference is
used: a partially deleted day then counts too little until the product's last batch.

Expiry runs continuously: a batch reads only the events of the shoppers and days that it touches.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import Purpose
from ranker.domain.events import EventType, Interaction
from ranker.domain.selection import COLUMNS, PurgeCount, Purged, PurgePlace, Selection
from ranker.domain.signals import DEFAULTS, Signals
from ranker.record import consents, popularity
from ranker.record.count_queue import enqueue_events
from ranker.record.encrypted_columns import query_of, unseal
from ranker.record.merged_owners import gate, owner
from ranker.record.popularity_changes import COUNTED, OF_INTEREST, withdraw
from ranker.record.rows import upsert
from ranker.record.shopper_history import INTERACTION, interaction_of
from ranker.record.tables import EVENTS, PRODUCT_FIRSTS
from servicekit.clock import now_micros
from servicekit.sql.database import Database

_QUERY = [one.stored for one in COLUMNS].index("query")


class SelectionRecord:
    """Selected events of all catalogs: counts, exports and deletion."""

    def __init__(self, database: Database, signals: Signals = DEFAULTS) -> None:
        """`signals`: the weights of events in popularity."""
        self._db = database
        self._signals = signals

    async def owner(self, catalog_id: str, actor: str) -> str:
        """Return the pseudonym under which the events of `actor` are stored."""
        return await self._db.read(lambda connection: owner(connection, catalog_id, actor))

    async def last_sequence(self, catalog_id: str) -> int:
        """Return the newest event's number; 0 in an empty record."""
        newest = sa.select(sa.func.max(EVENTS.c.sequence)).where(EVENTS.c.catalog_id == catalog_id)
        return await self._db.read(lambda connection: connection.execute(newest).scalar()) or 0

    async def count(self, selection: Selection) -> PurgeCount:
        t = EVENTS.c
        statement = sa.select(
            sa.func.count(),
            sa.func.min(t.time_micros),
            sa.func.max(t.time_micros),
            sa.func.max(t.sequence),
        ).where(*conditions(selection))
        row = await self._db.read(lambda connection: connection.execute(statement).one())
        return PurgeCount(row[0], row[1], row[2], row[3] or 0)

    async def rows(self, selection: Selection, after: int, limit: int) -> Sequence[Sequence[Any]]:
        """Return the next events after this sequence number as values of `COLUMNS`."""
        t = EVENTS.c
        statement = (
            sa.select(*(t[one.stored] for one in COLUMNS))
            .where(*conditions(selection), t.sequence > after)
            .order_by(t.sequence)
            .limit(limit)
        )
        place, about = _QUERY, query_of(selection.catalog_id)

        def read(connection: Connection) -> Sequence[Sequence[Any]]:
            return [
                (*row[:place], unseal(connection, about, row[place]), *row[place + 1 :])
                for row in connection.execute(statement)
            ]

        return await self._db.read(read)

    async def delete(self, selection: Selection, place: PurgePlace, limit: int) -> Purged:
        """Delete at most `limit` selected events, starting at `place`."""
        return await self._db.write(lambda c: _delete(c, selection, place, limit, self._signals))

    async def expire(
        self, catalog_id: str, event_type: EventType, before_micros: int, limit: int
    ) -> int:
        """Delete at most `limit` of the oldest events of a type before that time; return their
        number."""
        query = expired(catalog_id, event_type, before_micros, limit)
        if not await self._db.read(lambda c: c.execute(query.limit(1)).first()):
            return 0
        return await self._db.write(lambda c: _expire(c, catalog_id, query, self._signals))


def conditions(selection: Selection) -> Iterable[sa.ColumnElement[bool]]:
    """Yield the SQL conditions of selected events."""
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
    if selection.received_micros is not None:
        yield t.received_micros <= selection.received_micros


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
    said = [interaction_of(row[:-1]) for row in rows]
    catalog_id = selection.catalog_id
    enqueue_events(connection, catalog_id, said, now_micros())
    gone = popularity.sums(_learned_from(connection, catalog_id, said), signals)
    unfinished = rows[-1].product_id if len(rows) == limit else ""
    withdraw(connection, catalog_id, gone, signals, partly=lambda product: product == unfinished)
    if len(rows) < limit:
        return Purged(len(rows), PurgePlace(counted=False))
    return Purged(len(rows), PurgePlace(True, unfinished, rows[-1].sequence))


def batch_query(selection: Selection, place: PurgePlace, limit: int) -> sa.Select[*tuple[Any, ...]]:
    """Select the next selected events: first those that count in popularity, product by product,
    then the others."""
    t = EVENTS.c
    statement = sa.select(*INTERACTION, t.sequence).where(*conditions(selection)).limit(limit)
    if not place.counted:
        others = statement.where(sa.not_(OF_INTEREST), t.sequence > place.sequence)
        return others.order_by(t.sequence)
    # One shopper's events are found by their pseudonym: other terms than the index's prevent SQLite
    # from scanning all products.
    product = t.product_id.concat("") if selection.actor else t.product_id
    after = sa.tuple_(product, t.sequence) > (place.product_id, place.sequence)
    counted = OF_INTEREST if selection.actor else COUNTED
    return statement.where(counted, after).order_by(product, t.sequence)


def expired(
    catalog_id: str, event_type: EventType, before_micros: int, limit: int
) -> sa.Select[*tuple[Any, ...]]:
    """Select the oldest events of a type through the index events_age."""
    t = EVENTS.c
    return (
        sa.select(*INTERACTION, t.sequence)
        .where(t.catalog_id == catalog_id, t.type == event_type.value)
        .where(t.time_micros < before_micros)
        .order_by(t.time_micros)
        .limit(limit)
    )


def _expire(
    connection: Connection,
    catalog_id: str,
    query: sa.Select[*tuple[Any, ...]],
    signals: Signals,
) -> int:
    gate(connection, catalog_id, alone=True)
    rows = connection.execute(query).all()
    said = [interaction_of(row[:-1]) for row in rows]
    _note_firsts(connection, catalog_id, said)
    before = _counted(connection, catalog_id, said, signals)
    gone = sa.delete(EVENTS).where(EVENTS.c.sequence.in_([row.sequence for row in rows]))
    connection.execute(gone)
    enqueue_events(connection, catalog_id, said, now_micros())
    after = _counted(connection, catalog_id, said, signals)
    lost: dict[str, list[float]] = {}
    for day, was in before.items():
        if was > (now := after.get(day, -math.inf)):
            lost.setdefault(day[0], []).append(was + math.log2(1 - 2.0 ** (now - was)))
    withdraw(connection, catalog_id, popularity.summed(lost), signals)
    return len(rows)


def _note_firsts(connection: Connection, catalog_id: str, said: Sequence[Interaction]) -> None:
    """Note when the products of these events were first seen: without them they would seem new."""
    t = PRODUCT_FIRSTS.c
    firsts: dict[str, int] = {}
    for one in said:
        firsts[one.product_id] = min(one.time_micros, firsts.get(one.product_id, one.time_micros))
    known = sa.select(t.product_id, t.time_micros).where(
        t.catalog_id == catalog_id, t.product_id.in_(firsts)
    )
    for product_id, time in connection.execute(known):
        firsts[product_id] = min(time, firsts[product_id])
    rows: list[dict[str, Any]] = [
        {"catalog_id": catalog_id, "product_id": product_id, "time_micros": time}
        for product_id, time in sorted(firsts.items())
        if product_id
    ]
    if rows:
        upsert(connection, PRODUCT_FIRSTS, rows)


def _counted(
    connection: Connection, catalog_id: str, said: Sequence[Interaction], signals: Signals
) -> dict[popularity.Day, float]:
    """Return the counts of the remaining events on the days of these events."""
    days = popularity.by_day(said, signals)
    left = popularity.stored_on(connection, catalog_id, days)
    return popularity.by_day(_learned_from(connection, catalog_id, left), signals)


def _learned_from(
    connection: Connection, catalog_id: str, said: Iterable[Interaction]
) -> Sequence[Interaction]:
    """Return the events that count in popularity: those of shoppers who permit it."""
    said = tuple(said)
    actors = {one.actor for one in said}
    refusing = consents.refusing(connection, catalog_id, Purpose.TRAIN, actors)
    return [one for one in said if one.actor not in refusing]
