"""Queue of shoppers' days that the worker must count again.

Every change of a day's counts adds the day here in the same transaction; the day waits until the
worker has seen the change, in any order of commits. Counting does not rely on sequence numbers,
because a lower number may become visible after a higher one.
"""

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.counting import HABITS, Unit, unit
from ranker.domain.events import DAY_MICROS, Interaction
from ranker.domain.signals import INTEREST
from ranker.record.tables import COUNT_QUEUE, COUNT_UNITS, EVENTS, KIND_INTEREST

CHUNK = 100
"""Days of one row, which are counted in one transaction."""


def enqueue(
    connection: Connection, catalog_id: str, units: Iterable[Unit], now_micros: int
) -> None:
    """Queue these days for counting."""
    asked = sorted(set(units))
    rows: list[dict[str, Any]] = [
        {
            "catalog_id": catalog_id,
            "units": json.dumps(asked[start : start + CHUNK]),
            "created_micros": now_micros,
        }
        for start in range(0, len(asked), CHUNK)
    ]
    if rows:
        connection.execute(sa.insert(COUNT_QUEUE), rows)


def enqueue_events(
    connection: Connection, catalog_id: str, said: Iterable[Interaction], now_micros: int
) -> None:
    """Queue the days on which these events are, or were."""
    units = (unit(one) for one in said if one.product_id and one.type in INTEREST)
    enqueue(connection, catalog_id, units, now_micros)


def enqueue_shopper(
    connection: Connection, catalog_id: str, actors: Iterable[str], as_actor: str, now_micros: int
) -> None:
    """Queue all days of these shoppers, under their own pseudonyms and under `as_actor`. Call it
    before their events move."""
    t, counted = EVENTS.c, COUNT_UNITS.c
    asked = sorted(set(actors))
    stored = sa.select(t.actor, t.time_micros).where(
        t.catalog_id == catalog_id, t.actor.in_(asked), t.kind == KIND_INTEREST
    )
    known = sa.select(counted.actor, counted.day).where(
        counted.catalog_id == catalog_id, counted.actor.in_(asked), counted.day > HABITS
    )
    found = {(actor, time // DAY_MICROS) for actor, time in connection.execute(stored)}
    found |= {(actor, day) for actor, day in connection.execute(known)}
    enqueue(connection, catalog_id, found | {(as_actor, day) for _, day in found}, now_micros)
