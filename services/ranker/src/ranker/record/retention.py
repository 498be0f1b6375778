"""Deletes events that are too old, in SQL, the oldest first.

Unlike a purge this goes on for ever beside everything else: no batch reads more than the events of
the shoppers and days that it touches, and popularity loses in the same transaction exactly what
those no longer count. Only a product that loses more than half of its sum is counted anew, for then
a difference of two sums says little.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.events import EventType
from ranker.domain.signals import DEFAULTS, Signals
from ranker.record import popularity
from ranker.record.aliases import gate
from ranker.record.purges import settle
from ranker.record.tables import EVENTS
from servicekit.sql import Database


class RetentionRecord:
    """Events of all catalogs, to be kept for a time."""

    def __init__(self, database: Database, signals: Signals = DEFAULTS) -> None:
        """`signals`: what events count for popularity."""
        self._db = database
        self._signals = signals

    async def expire(
        self, catalog_id: str, event_type: EventType, before_micros: int, limit: int
    ) -> int:
        """Delete the oldest events of a type from before that time, at most `limit`; how many."""
        query = expired(catalog_id, event_type, before_micros, limit)
        if not await self._db.read(lambda c: c.execute(query.limit(1)).first()):
            return 0
        return await self._db.write(lambda c: _expire(c, catalog_id, query, self._signals))


def expired(
    catalog_id: str, event_type: EventType, before_micros: int, limit: int
) -> sa.Select[*tuple[Any, ...]]:
    """The oldest events of a type, through the index events_age."""
    t = EVENTS.c
    return (
        sa.select(*popularity.SAID, t.sequence)
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
    said = [popularity.said_of(row[:-1]) for row in rows]
    before = _counted(connection, catalog_id, said, signals)
    gone = sa.delete(EVENTS).where(EVENTS.c.sequence.in_([row.sequence for row in rows]))
    connection.execute(gone)
    after = _counted(connection, catalog_id, said, signals)
    lost: defaultdict[str, list[float]] = defaultdict(list)
    for day, was in before.items():
        if was > (now := after.get(day, -math.inf)):
            lost[day[0]].append(was + math.log2(1 - 2.0 ** (now - was)))
    if lost:
        _withdraw(connection, catalog_id, lost, signals)
    return len(rows)


def _counted(
    connection: Connection, catalog_id: str, said: Sequence[popularity.Said], signals: Signals
) -> dict[popularity.Day, float]:
    """What the events that are there count on the days of these, which count at all."""
    days = popularity.by_day(said, signals)
    return popularity.by_day(popularity.stored_on(connection, catalog_id, days), signals)


def _withdraw(
    connection: Connection, catalog_id: str, lost: Mapping[str, Sequence[float]], signals: Signals
) -> None:
    """Take from the products' popularity what they lost, in base-2 logarithms."""
    known = popularity.log_counts(connection, catalog_id, sorted(lost), lock=True)
    kept: dict[str, float] = {}
    anew: list[str] = []
    for product, each in lost.items():
        taken, before = float(np.logaddexp2.reduce(each)), known.get(product, -math.inf)
        if before > taken + 1:
            kept[product] = before + math.log2(1 - 2.0 ** (taken - before))
        else:
            anew.append(product)
    settle(connection, catalog_id, kept, anew, signals)
