"""Maintenance of counts in SQL as sums over shoppers' days (domain/counting.py).

A queued day is counted again from its events. Its earlier content, which is stored, is subtracted
from the sums, and its new content is added. Both, and the removal from the queue, are one
transaction, so that a crash loses nothing. Counts are whole numbers and therefore independent of
order and batching; decayed counts are computed from whole numbers by day whenever one of these
changes.

A batch reads only the events of its days and the counts of their products.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain import counting
from ranker.domain.consent import Purpose
from ranker.domain.counting import ALL, HABITS, LONG_DAYS, NOTHING, SHORT_DAYS, SOLD_DAYS, Unit
from ranker.domain.features import shopper_feature_names
from ranker.domain.signals import Signals
from ranker.record import consents, popularity
from ranker.record.encrypted_columns import unseal, value_of
from ranker.record.rows import upsert
from ranker.record.tables import (
    ATTRIBUTES,
    COUNT_DAYS,
    COUNT_GAPS,
    COUNT_PAIRS,
    COUNT_PRODUCTS,
    COUNT_QUEUE,
    COUNT_RATES,
    COUNT_UNITS,
)
from servicekit.sql.locks import lock_if_free

BATCH = 100
"""Days per transaction after which no more are taken from the queue: some hundredths of a second,
during which writers of SQLite wait."""
MOST_ROWS = 100
_CHUNK = 1000
"""Maximum number of parameters of a list."""
_TYPE = np.dtype("<i4")
COUNTS = "counts"
"""Name of the lock of all counts."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Result of a batch."""

    units: int = 0
    oldest_micros: int | None = None
    """When the oldest of them was queued, microseconds since 1970 (UTC); `None` if the queue was
    empty."""


class Uncounted(Exception):
    """A catalog's days that can't be counted, such as by a row that can't be read (the cause)."""

    def __init__(self, catalog_id: str) -> None:
        super().__init__(f"the days of {catalog_id} can't be counted")
        self.catalog_id = catalog_id


def fold(
    connection: Connection,
    signals: Signals,
    most: int = BATCH,
    without: Collection[str] = (),
) -> Folded:
    """Count the days that have waited longest, except in the catalogs `without`; do nothing while
    another worker counts. Raise Uncounted: then nothing is counted."""
    if not lock_if_free(connection, COUNTS):
        return Folded()
    t = COUNT_QUEUE.c
    oldest = _waiting(sa.select(COUNT_QUEUE), without).order_by(t.sequence).limit(MOST_ROWS)
    units: defaultdict[str, set[Unit]] = defaultdict(set)
    taken, created, count = list[int](), list[int](), 0
    for row in connection.execute(oldest).all():
        if count >= most:
            break
        with _of(row.catalog_id):
            units[row.catalog_id].update((actor, day) for actor, day in json.loads(row.units))
        count = sum(map(len, units.values()))
        taken.append(row.sequence)
        created.append(row.created_micros)
    for catalog_id, its in sorted(units.items()):
        with _of(catalog_id):
            _count(connection, catalog_id, sorted(its), signals)
    if not taken:
        return Folded()
    connection.execute(sa.delete(COUNT_QUEUE).where(t.sequence.in_(taken)))
    return Folded(count, min(created))


def waits(connection: Connection, without: Collection[str] = ()) -> bool:
    """Return whether days wait to be counted, except in the catalogs `without`."""
    some = _waiting(sa.select(COUNT_QUEUE.c.sequence), without).limit(1)
    return connection.execute(some).first() is not None


def _waiting(rows: sa.Select[Any], without: Collection[str]) -> sa.Select[Any]:
    return rows.where(COUNT_QUEUE.c.catalog_id.not_in(without)) if without else rows


@contextmanager
def _of(catalog_id: str) -> Iterator[None]:
    """Turn errors of the block into Uncounted, except those of the store itself."""
    try:
        yield
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:
        raise Uncounted(catalog_id) from error


def _count(
    connection: Connection, catalog_id: str, units: Sequence[Unit], signals: Signals
) -> None:
    """Count these days of a catalog."""
    actors = {actor for actor, _ in units}
    refusing = consents.refusing(connection, catalog_id, Purpose.TRAIN, actors)
    days = [("", actor, day) for actor, day in units if actor not in refusing]
    found = counting.days(popularity.stored_on(connection, catalog_id, days), signals)
    segments = _segments(connection, catalog_id, {actor for actor, _ in found})
    now = {
        whose: (counting.bought(day), counting.content(day, segments.get(whose[0], ())))
        for whose, day in found.items()
    }
    tally = counting.CountChanges()
    shoppers = _replace(connection, catalog_id, units, now, tally)
    if shoppers:
        whose = [(actor, HABITS) for actor in sorted(shoppers)]
        habits = _habits(connection, catalog_id, sorted(shoppers))
        _replace(connection, catalog_id, whose, habits, tally)
    _apply(connection, catalog_id, tally)


Kept = tuple[str, str]
"""Columns `bought` and `content` of a unit."""
_NONE: Kept = (NOTHING, NOTHING)


def _replace(
    connection: Connection,
    catalog_id: str,
    units: Sequence[Unit],
    now: Mapping[Unit, Kept],
    tally: counting.CountChanges,
) -> set[str]:
    """Store the units' new content and note the changes; return the shoppers whose purchases
    changed."""
    before = _kept(connection, catalog_id, units)
    changed, gone, shoppers = list[dict[str, Any]](), list[dict[str, Any]](), set[str]()
    for unit in units:
        was, kept = before.get(unit, _NONE), now.get(unit, _NONE)
        if was == kept:
            continue
        actor, day = unit
        if was[0] != kept[0]:
            shoppers.add(actor)
        tally.add(day, was[1], -1)
        tally.add(day, kept[1], 1)
        key = {"catalog_id": catalog_id, "actor": actor, "day": day}
        if kept[1] == NOTHING:
            gone.append(key)
        else:
            changed.append({**key, "bought": kept[0], "content": kept[1]})
    if changed:
        upsert(connection, COUNT_UNITS, changed)
    _remove(connection, COUNT_UNITS, gone)
    return shoppers


def _kept(connection: Connection, catalog_id: str, units: Sequence[Unit]) -> dict[Unit, Kept]:
    """Return what is stored for these units."""
    t = COUNT_UNITS.c
    found: dict[Unit, Kept] = {}
    for chunk in _chunks(units):
        asked = sa.select(t.actor, t.day, t.bought, t.content).where(
            t.catalog_id == catalog_id, sa.tuple_(t.actor, t.day).in_(chunk)
        )
        found |= {
            (row.actor, row.day): (row.bought, row.content) for row in connection.execute(asked)
        }
    return found


def _segments(
    connection: Connection, catalog_id: str, actors: set[str]
) -> dict[str, Sequence[str]]:
    """Return the segments of the shoppers who gave attributes."""
    t = ATTRIBUTES.c
    given: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for chunk in _chunks(sorted(actors)):
        asked = sa.select(t.actor, t.key, t.value).where(
            t.catalog_id == catalog_id, t.actor.in_(chunk)
        )
        for actor, key, value in connection.execute(asked):
            given[actor].append((key, unseal(connection, value_of(catalog_id), value)))
    return {actor: shopper_feature_names(pairs) for actor, pairs in given.items()}


def _habits(connection: Connection, catalog_id: str, actors: Sequence[str]) -> dict[Unit, Kept]:
    """Return the intervals of these shoppers' purchases, summed."""
    t = COUNT_UNITS.c
    purchases: defaultdict[str, list[tuple[int, Mapping[str, int]]]] = defaultdict(list)
    for chunk in _chunks(actors):
        asked = sa.select(t.actor, t.day, t.bought).where(
            t.catalog_id == catalog_id, t.actor.in_(chunk), t.day > HABITS, t.bought != NOTHING
        )
        for actor, day, bought in connection.execute(asked):
            purchases[actor].append((day, json.loads(bought)))
    found = {actor: counting.habits(its) for actor, its in purchases.items()}
    return {(actor, HABITS): (NOTHING, kept) for actor, kept in found.items() if kept != NOTHING}


def _apply(connection: Connection, catalog_id: str, tally: counting.CountChanges) -> None:
    pairs, gaps = _names(COUNT_PAIRS), _names(COUNT_GAPS)
    _add(connection, COUNT_PAIRS, [dict(zip(pairs, (catalog_id, *key, by), strict=True))
         for key, by in sorted(tally.pairs.items()) if by])  # fmt: skip
    _add(connection, COUNT_GAPS, [dict(zip(gaps, (catalog_id, *key, by), strict=True))
         for key, by in sorted(tally.gaps.items()) if by])  # fmt: skip
    changes: defaultdict[tuple[str, str], dict[int, list[int]]] = defaultdict(dict)
    for place, counts in enumerate((tally.shoppers, tally.pieces)):
        for (item, segment, day), by in counts.items():
            changes[item, segment].setdefault(day, [0, 0])[place] += by
    _add_days(connection, catalog_id, changes)


def _names(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns]


def _add(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Add to the counts of these rows, and delete rows whose count becomes 0."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    names = _names(table)
    added = sa.text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES (:{', :'.join(names)})"  # noqa: S608
        f" ON CONFLICT ({', '.join(keys)})"
        f" DO UPDATE SET count = {table.name}.count + excluded.count"
    )
    connection.execute(added, list(rows))
    fewer = [row for row in rows if row["count"] < 0]
    _remove(connection, table, [{name: row[name] for name in keys} for row in fewer], "count = 0")


def _remove(
    connection: Connection, table: sa.Table, keys: Sequence[Mapping[str, Any]], only: str = "1 = 1"
) -> None:
    """Delete the rows with these values, all of the same columns."""
    if keys:
        same = " AND ".join(f"{name} = :{name}" for name in keys[0])
        gone = sa.text(f"DELETE FROM {table.name} WHERE {same} AND {only}")  # noqa: S608
        connection.execute(gone, list(keys))


def _add_days(
    connection: Connection,
    catalog_id: str,
    changes: Mapping[tuple[str, str], Mapping[int, Sequence[int]]],
) -> None:
    """Add the changes to the days of products and segments, and recompute the decayed counts."""
    items = sorted({item for item, _ in changes})
    known, groups = _days(connection, catalog_id, items), groups_of(connection, catalog_id, items)
    days, rates, gone = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    for (item, segment), by_day in sorted(changes.items()):
        merged = {
            day: [shoppers, pieces] for day, shoppers, pieces in known.get((item, segment), ())
        }
        for day, (shoppers, pieces) in by_day.items():
            sums = merged.setdefault(day, [0, 0])
            sums[0], sums[1] = sums[0] + shoppers, sums[1] + pieces
        rows = [(day, *sums) for day, sums in sorted(merged.items()) if any(sums)]
        key = {"catalog_id": catalog_id, "product_id": item, "segment": segment}
        if not rows:
            gone.append(key)
            continue
        table = np.array(rows, _TYPE)
        days.append({**key, "days": table.tobytes()})
        logs = _logs(table)
        rates += [{**key, "grp": group, **logs} for group in (ALL, *groups.get(item, ()))]
    for table_of, its in ((COUNT_DAYS, days), (COUNT_RATES, rates)):
        if its:
            upsert(connection, table_of, its)
        _remove(connection, table_of, gone)
    new = [
        {"catalog_id": catalog_id, "product_id": item, "groups": "[]", "read_micros": 0}
        for item in items
        if item != ALL and item not in groups
    ]
    if new:
        connection.execute(sa.insert(COUNT_PRODUCTS), new)


def _days(
    connection: Connection, catalog_id: str, items: Sequence[str]
) -> dict[tuple[str, str], list[list[int]]]:
    """Return the rows of COUNT_DAYS by product and segment: day, shoppers, pieces."""
    t = COUNT_DAYS.c
    found: dict[tuple[str, str], list[list[int]]] = {}
    for chunk in _chunks(items):
        asked = sa.select(COUNT_DAYS).where(t.catalog_id == catalog_id, t.product_id.in_(chunk))
        for row in connection.execute(asked):
            table = np.frombuffer(row.days, _TYPE).reshape(-1, 3)
            found[row.product_id, row.segment] = table.tolist()
    return found


def groups_of(
    connection: Connection, catalog_id: str, items: Sequence[str]
) -> dict[str, Sequence[str]]:
    """Return the groups of those products that were ever counted."""
    t = COUNT_PRODUCTS.c
    found: dict[str, Sequence[str]] = {}
    for chunk in _chunks(items):
        asked = sa.select(t.product_id, t.groups).where(
            t.catalog_id == catalog_id, t.product_id.in_(chunk)
        )
        found |= {item: json.loads(groups) for item, groups in connection.execute(asked)}
    return found


def _logs(table: Any) -> dict[str, float]:
    """Return the decayed counts of a product's days."""
    day, shoppers, pieces = table.T
    return {
        "log_short": counting.decayed(day, shoppers, SHORT_DAYS),
        "log_long": counting.decayed(day, shoppers, LONG_DAYS),
        "log_sold": counting.decayed(day, pieces, SOLD_DAYS),
    }


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
