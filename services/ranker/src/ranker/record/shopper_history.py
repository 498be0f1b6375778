"""A shopper's history in SQL, read with one statement and one round trip, and kept until one of its
rows changes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import BY_DEFAULT, EVERYBODY, Purpose
from ranker.domain.events import EventType, History, Interaction
from ranker.record.encrypted_columns import unseal, value_of
from ranker.record.rows import RowsStatement
from ranker.record.tables import (
    ALIASES,
    ATTRIBUTES,
    CONSENTS,
    EVENTS,
    KIND_INTEREST,
    KIND_VISIBILITY,
)
from servicekit.sql.database import Database
from servicekit.tasks.expiring import ExpiringValues

MOST_SEEN = 10_000
"""Maximum number of events read to find seen products: more than a person has, a bound for robots.
"""
KEPT_SECONDS = 10.0
"""Seconds after which a history leaves memory if nobody asks for it again, such as that of a
shopper whom another process erases: docs/privacy.md promises ten."""
MOST_KEPT = 1_000
MOST_KEPT_ROWS = 200
"""Histories with more rows are not kept: 1,000 with 50 rows take 20 MB, with 200 rows 80 MB."""

INTERACTION = tuple(
    EVENTS.c[name]
    for name in (
        "actor",
        "product_id",
        "type",
        "value",
        "time_micros",
        "event_id",
        "quantity",
        "session",
        "order_id",
        "unproven",
    )
)
"""Columns in the order of Interaction's fields."""


_TYPES = {one.value: one for one in EventType}


def interaction_of(row: Sequence[Any]) -> Interaction:
    """Return the interaction of a row of INTERACTION."""
    actor, product_id, kind, *rest = row
    return Interaction(actor, product_id, _TYPES[kind], *rest)


def history(
    connection: Connection, catalog_id: str, actor: str, limit: int, *, with_seen: bool
) -> History:
    """Return the shopper's history with at most `limit` recent events."""
    given = {"catalog_id": catalog_id, "actor": actor}
    found: dict[str, list[Sequence[Any]]] = {}
    for part, *row in _HISTORY.of(connection, {**given, "newest": limit}):
        found.setdefault(part, []).append(row)
    if not _is_personal(found.get("consent", ())):
        return History(withheld=True)
    seen = {row[0]: row[1] for row in connection.execute(_SEEN, given)} if with_seen else {}
    latest = {row[2]: row for row in sorted(found.get("visibility", ()), key=_age)}
    hidden = {item: row[0] for item, row in latest.items() if row[3] == EventType.HIDE}
    recent = sorted(found.get("recent", ()), key=_age, reverse=True)
    return History(
        recent=tuple(interaction_of(row[1:]) for row in recent),
        hidden=frozenset(hidden),
        seen=frozenset(seen),
        actor=next((row[1] for row in found.get("owner", ())), actor),
        attributes=tuple(
            sorted(
                (row[6], unseal(connection, value_of(catalog_id), row[2]))
                for row in found.get("attribute", ())
            )
        ),
        sequences=tuple(row[0] for row in recent),
        marks={**seen, **hidden},
    )


@dataclass(frozen=True, slots=True)
class _KeptHistory:
    rows: Sequence[Sequence[Any]]
    """Result of `_ROWS`."""
    history: History


class KeptHistories:
    """Histories of a local store, each kept until one of its rows changes in any process.

    The numbers of the shopper's events and the shopper's rows of other tables tell whether one of
    them is new or gone, in a fifth of the time of reading the history: numbers are never used
    again, and no event changes in place, other than by a merge, which changes whose it is, and in
    columns that a history does not have. Nothing has to tell it of a write. The number of the
    store's last commit is not asked: nearly each answer is recorded, and changes it.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = database
        self._held = ExpiringValues[tuple[str, str, int], _KeptHistory](
            KEPT_SECONDS, MOST_KEPT, clock
        )

    def read(self, catalog_id: str, actor: str, limit: int) -> History:
        """Return `history` without seen products. See `Database.read_local`."""
        key = (catalog_id, actor, limit)
        held = self._held.get(key)
        made = self._db.read_local(partial(_renewed, key=key, held=held))
        if len(made.rows) <= MOST_KEPT_ROWS:
            self._held.put(key, made)
        else:
            self._held.pop(key)
        return made.history

    def forget(self, catalog_id: str) -> None:
        """Drop the histories of a catalog: a shopper is being erased."""
        self._held.drop(lambda key: key[0] == catalog_id)


def _renewed(
    connection: Connection,
    key: tuple[str, str, int],
    held: _KeptHistory | None,
) -> _KeptHistory:
    """Return the history that is kept if its rows are the same, else read it."""
    catalog_id, actor, limit = key
    given = {"catalog_id": catalog_id, "actor": actor, "newest": limit}
    rows = _ROWS.of(connection, given)
    if held is not None and held.rows == rows:
        return held
    found = history(connection, catalog_id, actor, limit, with_seen=False)
    return _KeptHistory(rows, found)


def numbered(
    connection: Connection, catalog_id: str, sequences: Sequence[int]
) -> dict[int, Interaction]:
    """Return the catalog's events with these numbers that still exist."""
    t = EVENTS.c
    statement = sa.select(t.sequence, *INTERACTION).where(
        t.catalog_id == catalog_id, t.sequence.in_(sequences)
    )
    return {row[0]: interaction_of(row[1:]) for row in connection.execute(statement)}


def _is_personal(rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether the shopper's decision, or else the catalog's, allows personal answers."""
    decided = {row[1]: bool(row[7]) for row in rows}
    own = [granted for actor, granted in decided.items() if actor != EVERYBODY]
    return own[0] if own else decided.get(EVERYBODY, BY_DEFAULT[Purpose.PERSONALISE])


def _age(row: Sequence[Any]) -> tuple[int, int]:
    """Return a row's sort key: time, then sequence."""
    return row[5], row[0]


_CATALOG, _ACTOR = sa.bindparam("catalog_id", type_=sa.Text), sa.bindparam("actor", type_=sa.Text)
_COLUMNS = (EVENTS.c.sequence, *INTERACTION)
_MERGED = (
    ALIASES.c.catalog_id == _CATALOG,
    ALIASES.c.visitor == _ACTOR,
)
"""Row that names the owner of the events if the shopper is a merged visitor."""


def _newest(kind: str, *columns: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
    """Select the shopper's events of a kind, newest first. The kind is part of the statement:
    SQLite would plan the statement again for each value of a parameter that restricts an index,
    which took a millisecond."""
    t = EVENTS.c
    return (
        sa.select(*columns)
        .where(
            t.catalog_id == _CATALOG,
            t.actor == _whose(),
            t.kind == sa.literal_column(f"'{kind}'"),
        )
        .order_by(t.time_micros.desc(), t.sequence.desc())
    )


def _part(name: str) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{name}'").label("part")


def _whose() -> sa.ColumnElement[str]:
    alias = sa.select(ALIASES.c.actor).where(*_MERGED).scalar_subquery()
    return sa.func.coalesce(alias, _ACTOR)


def _rows_of(
    columns: Sequence[sa.ColumnElement[Any]], of_events: Sequence[sa.ColumnElement[Any]]
) -> RowsStatement:
    """Select all rows of a history, distinguished by `part`, in these columns; others than those
    `of_events` are NULL in events, and those of other tables are in some of them."""

    def filled(name: str, **given: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
        nothing = {one.name: sa.cast(sa.null(), one.type) for one in columns}
        return [_part(name), *(given.get(each, nothing[each]).label(each) for each in nothing)]

    def others(name: str, **given: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
        return sa.select(*filled(name, **given))

    events, newest = {one.name: one for one in of_events}, sa.bindparam("newest", type_=sa.Integer)
    recent = _newest(KIND_INTEREST, *filled("recent", **events)).limit(newest)
    visibility = _newest(KIND_VISIBILITY, *filled("visibility", **events))
    parts = (
        sa.select(recent.subquery()),
        sa.select(visibility.subquery()),
        others("owner", actor=ALIASES.c.actor).where(*_MERGED),
        others("attribute", event_id=ATTRIBUTES.c.key, product_id=ATTRIBUTES.c.value).where(
            ATTRIBUTES.c.catalog_id == _CATALOG, ATTRIBUTES.c.actor == _whose()
        ),
        others(
            "consent", actor=CONSENTS.c.actor, quantity=sa.cast(CONSENTS.c.granted, sa.Integer)
        ).where(
            CONSENTS.c.catalog_id == _CATALOG,
            CONSENTS.c.actor.in_((_whose(), EVERYBODY)),
            CONSENTS.c.purpose == sa.literal_column(f"'{Purpose.PERSONALISE}'"),
            CONSENTS.c.latest,
        ),
    )
    return RowsStatement(sa.union_all(*parts))


_HISTORY = _rows_of(_COLUMNS, _COLUMNS)
"""`history` documents its rows."""
_ROWS = _rows_of(
    [EVENTS.c[each] for each in ("sequence", "actor", "product_id", "event_id", "quantity")],
    [EVENTS.c.sequence],
)
"""The same rows with the number alone of each event, which the index has: whose it is follows from
the owner's row."""
_SEEN = _newest(KIND_INTEREST, EVENTS.c.product_id, EVENTS.c.sequence).limit(MOST_SEEN)
"""A separate statement for requests that need it: a thousand rows of many columns take two
milliseconds. Without DISTINCT, for which SQLite read all events of the catalog (80 ms at 100,000).
"""
