"""Events in SQL."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.arrays import Doubles
from ranker.domain.consent import STORING, Purpose
from ranker.domain.events import Event, EventType, History, Interaction, StoredEvent, Written
from ranker.domain.features import Money
from ranker.domain.signals import DEFAULTS, INTEREST, Signals
from ranker.record import consents, popularity
from ranker.record.count_queue import enqueue_events
from ranker.record.encrypted_columns import query_of, seal, unseal
from ranker.record.group_commit import GroupCommit
from ranker.record.late_events import purged
from ranker.record.learnable import learnable
from ranker.record.merged_owners import gate, owner, owners
from ranker.record.rows import RowsStatement
from ranker.record.shopper_history import (
    INTERACTION,
    KeptHistories,
    history,
    interaction_of,
    numbered,
)
from ranker.record.tables import EVENTS, KIND_INTEREST, KIND_OTHER, KIND_VISIBILITY
from servicekit.sql.database import Database, StoreBusy

MOST_OF_ANSWER = 5_000
"""Events joined to one answer: its token, repeated, can't outweigh other answers in reports."""
MOST_JOINED = 4000
"""Events of several callers that share a transaction: some tenths of a second."""

T = TypeVar("T")

FEW = 200
"""Number of rows read without switching to a thread."""
MOST_HELD = 100
"""Number of cached lists of the most popular products."""

_COLUMNS = [name for name in EVENTS.c.keys() if name != "sequence"]  # noqa: SIM118
_INSERT = RowsStatement(sa.insert(EVENTS), _COLUMNS)
_OF_EVENT, _OF_STORED = (
    [one.name for one in fields(kind) if one.name in _COLUMNS and one.name != "type"]
    for kind in (Event, StoredEvent)
)
"""Columns that hold an attribute unchanged."""
_OWN = "\x1f"
"""Ends the caller's id in an id that is the shopper's own."""
_event_values, _stored_values = attrgetter(*_OF_EVENT), attrgetter(*_OF_STORED)


class EventRecord:
    """Events of all catalogs; also a ports.HistoryReader and a ports.EventSink."""

    deferred = False

    def __init__(
        self, database: Database, signals: Signals = DEFAULTS, *, late: bool = False
    ) -> None:
        """`signals`: the weights of events in popularity. `late`: appended events were acknowledged
        before, and a purge requested meanwhile applies to them."""
        self._db = database
        self._popular: dict[tuple[str, int], tuple[int, tuple[tuple[str, float], ...]]] = {}
        """Cached lists, with the version of the store at which they were read."""
        self._histories = KeptHistories(database)
        self._joined: GroupCommit[StoredEvent, Written] = GroupCommit(
            database, lambda c, given: _append(c, given, signals, late=late), MOST_JOINED
        )

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        """Store events in one transaction, which may include those of other callers and is on disk
        when this returns. Of two events with one id in a batch the first is stored.
        """
        return await self._joined.write(events)

    async def history(self, catalog_id: str, actor: str, *, limit: int, with_seen: bool) -> History:
        if not with_seen and limit <= FEW and self._db.local:
            with suppress(StoreBusy):  # locked by a starting process: wait in a thread
                return self._histories.read(catalog_id, actor, limit)
        return await self._db.read(
            lambda c: history(c, catalog_id, actor, limit, with_seen=with_seen)
        )

    def forget_histories(self, catalog_id: str) -> None:
        """Drop the histories of a catalog from memory: a shopper is being erased."""
        self._histories.forget(catalog_id)

    async def numbered(self, catalog_id: str, sequences: Sequence[int]) -> dict[int, Interaction]:
        """Return the events with these numbers that still exist."""
        return await self._db.read(lambda connection: numbered(connection, catalog_id, sequences))

    async def _read(self, work: Callable[[Connection], T], *, few: bool) -> T:
        """Return the result of `work`. `few` rows are read without a thread, because starting one
        takes longer."""
        if few and self._db.local:
            with suppress(StoreBusy):  # locked by a starting process: wait in a thread
                return self._db.read_local(work)
        return await self._db.read(work)

    async def popularity(self, catalog_id: str, product_ids: Sequence[str]) -> Doubles:
        return await self._read(
            lambda connection: popularity.shares(connection, catalog_id, product_ids),
            few=len(product_ids) <= FEW,
        )

    async def most_popular(self, catalog_id: str, count: int) -> tuple[tuple[str, float], ...]:
        """Return the most popular products, cached until the next write."""
        version = self._db.version()
        held = self._popular.get((catalog_id, count))
        if held is not None and version is not None and held[0] == version:
            return held[1]
        found = await self._db.read(lambda c: popularity.most_popular(c, catalog_id, count))
        if version is not None:
            if len(self._popular) >= MOST_HELD:
                self._popular.clear()
            self._popular[catalog_id, count] = version, found
        return found

    async def events_of(
        self, catalog_id: str, actor: str, *, limit: int, before: tuple[int, int] | None
    ) -> tuple[StoredEvent, ...]:
        """Return a shopper's events, newest first, older than (time, sequence) `before` if
        given."""
        t = EVENTS.c
        statement = (
            sa.select(EVENTS)
            .where(t.catalog_id == catalog_id)
            .order_by(t.time_micros.desc(), t.sequence.desc())
            .limit(limit)
        )
        if before is not None:
            statement = statement.where(sa.tuple_(t.time_micros, t.sequence) < before)

        def read(connection: Connection) -> Sequence[StoredEvent]:
            whose = owner(connection, catalog_id, actor)
            rows = connection.execute(statement.where(t.actor == whose)).all()
            return [_stored(connection, row) for row in rows]

        return tuple(await self._db.read(read))

    async def interactions(self, catalog_id: str) -> tuple[Interaction, ...]:
        """Return all events of interest (for or against a product) from which models may learn, by
        time, then event id."""
        t = EVENTS.c
        statement = (
            sa.select(*INTERACTION)
            .where(t.catalog_id == catalog_id, t.kind != KIND_OTHER)
            .order_by(t.time_micros, t.event_id)
        )

        def read(connection: Connection) -> Sequence[sa.Row[Any]]:
            permitted = learnable(connection, catalog_id, EVENTS)
            return connection.execute(statement.where(permitted)).all()

        return tuple(interaction_of(row) for row in await self._db.read(read))


def kind_of(event_type: EventType) -> str:
    """Return the type's kind in the history index."""
    if event_type in INTEREST:
        return KIND_INTEREST
    if event_type in (EventType.HIDE, EventType.UNHIDE):
        return KIND_VISIBILITY
    return KIND_OTHER


def _append(
    connection: Connection, events: Sequence[StoredEvent], signals: Signals, *, late: bool
) -> tuple[Written, ...]:
    for catalog_id in sorted({stored.catalog_id for stored in events}):
        gate(connection, catalog_id, alone=False)
    gone = purged(connection, events) if late else frozenset()
    known = _digests(connection, events)
    outcomes, fresh = [], []
    for place, one in enumerate(events):
        stored = _scoped(connection, one, known)
        key = (stored.catalog_id, stored.event.event_id)
        if place in gone:
            outcomes.append(Written.PURGED)
        elif key in known:
            same = known[key].digest == stored.digest
            outcomes.append(Written.DUPLICATE if same else Written.CONFLICT)
        else:
            known[key] = _Known(stored.digest, stored.actor)
            fresh.append(stored)
            outcomes.append(Written.NEW)
    if not fresh:
        return tuple(outcomes)
    permitted = _permitted(connection, _to_owners(connection, fresh))
    kept = iter(permitted)
    if None in permitted:
        outcomes = [
            Written.WITHHELD if one is Written.NEW and next(kept) is None else one
            for one in outcomes
        ]
    if given := [one for one in permitted if one is not None]:
        _insert(connection, _attributed(connection, given), signals)
    return tuple(outcomes)


def _permitted(
    connection: Connection, events: Sequence[StoredEvent]
) -> Sequence[StoredEvent | None]:
    """Return the events as far as their shoppers consent to their storage: None for those that may
    not be stored, and without the arm of an experiment that the shopper is not in."""
    found: dict[tuple[str, str], frozenset[Purpose]] = {}
    for catalog_id in sorted({stored.catalog_id for stored in events}):
        theirs = [stored for stored in events if stored.catalog_id == catalog_id]
        actors = sorted({stored.actor for stored in theirs})
        consents.recall(connection, catalog_id, actors, theirs[0].key_id)
        refused = consents.refused(connection, catalog_id, actors)
        found |= {(catalog_id, actor): refused[actor] for actor in actors}
    return [_permitted_one(stored, found[stored.catalog_id, stored.actor]) for stored in events]


def _permitted_one(stored: StoredEvent, refused: frozenset[Purpose]) -> StoredEvent | None:
    if refused >= STORING:
        return None
    if Purpose.EXPERIMENT in refused and stored.event.arm:
        return replace(stored, event=replace(stored.event, arm=""))
    return stored


def _attributed(connection: Connection, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
    """Return the events, those beyond `MOST_OF_ANSWER` of an answer without the answer."""
    t = EVENTS.c
    known: Counter[tuple[str, str]] = Counter()
    for catalog_id in sorted({stored.catalog_id for stored in events}):
        ids = {one.event.answer_id for one in events if one.catalog_id == catalog_id} - {""}
        counts = (
            sa.select(t.answer_id, sa.func.count())
            .where(t.catalog_id == catalog_id, t.answer_id.in_(ids), t.answer_id != "")
            .group_by(t.answer_id)
        )
        if ids:
            known.update({(catalog_id, one): n for one, n in connection.execute(counts)})
    if not known and len(events) <= MOST_OF_ANSWER:
        return events
    return [_counted(stored, known) for stored in events]


def _counted(stored: StoredEvent, known: Counter[tuple[str, str]]) -> StoredEvent:
    """Count an event of an answer; return it without the answer once that has too many."""
    if not stored.event.answer_id:
        return stored
    key = (stored.catalog_id, stored.event.answer_id)
    known[key] += 1
    if known[key] <= MOST_OF_ANSWER:
        return stored
    return replace(stored, event=replace(stored.event, answer_id="", arm=""))


def _to_owners(connection: Connection, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
    """Return the events, with those of merged visitors assigned to their users."""
    whose: dict[tuple[str, str], str] = {}
    for catalog_id in sorted({stored.catalog_id for stored in events}):
        actors = (stored.actor for stored in events if stored.catalog_id == catalog_id)
        found = owners(connection, catalog_id, actors)
        whose |= {(catalog_id, visitor): user for visitor, user in found.items()}
    if not whose:
        return events
    return [
        replace(stored, actor=whose.get((stored.catalog_id, stored.actor), stored.actor))
        for stored in events
    ]


def _insert(connection: Connection, events: Sequence[StoredEvent], signals: Signals) -> None:
    interactions = [_interaction(stored) for stored in events]
    for catalog_id in sorted({stored.catalog_id for stored in events}):
        pairs = zip(events, interactions, strict=True)
        theirs = [one for stored, one in pairs if stored.catalog_id == catalog_id]
        actors = {one.actor for one in theirs}
        refusing = consents.refusing(connection, catalog_id, Purpose.TRAIN, actors)
        learned = [one for one in theirs if one.actor not in refusing]
        popularity.add(connection, catalog_id, learned, signals)
        enqueue_events(connection, catalog_id, learned, min(one.received_micros for one in events))
    _INSERT.each(connection, [*map(partial(_row, connection), events, interactions)])


def given_id(event_id: str) -> str:
    """Return the caller's id of a stored event."""
    return event_id.partition(_OWN)[0]


class _Known(NamedTuple):
    """A stored event."""

    digest: bytes
    actor: str


def _scoped(
    connection: Connection, stored: StoredEvent, known: Mapping[tuple[str, str], _Known]
) -> StoredEvent:
    """Return the event with an id of its shopper's own if another shopper's event has its id: no
    shopper takes the ids of others, or learns from a conflict which ones they have."""
    first = known.get((stored.catalog_id, stored.event.event_id))
    if first is None or first.digest == stored.digest or first.actor == stored.actor:
        return stored
    if first.actor in owners(connection, stored.catalog_id, [stored.actor]).values():
        return stored
    return replace(stored, event=replace(stored.event, event_id=_own_id(stored)))


def _own_id(stored: StoredEvent) -> str:
    """Return an id that no caller can guess, as pseudonyms are secret."""
    given = stored.event.event_id
    return f"{given}{_OWN}{hashlib.sha256(f'{given} {stored.actor}'.encode()).hexdigest()[:32]}"


def _digests(
    connection: Connection, events: Sequence[StoredEvent]
) -> dict[tuple[str, str], _Known]:
    """Return those of the events that are stored, by catalog and id."""
    t = EVENTS.c
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for stored in events:
        ids[stored.catalog_id].update((stored.event.event_id, _own_id(stored)))
    found: dict[tuple[str, str], _Known] = {}
    for catalog_id, event_ids in ids.items():
        statement = sa.select(t.event_id, t.digest, t.actor).where(
            t.catalog_id == catalog_id, t.event_id.in_(event_ids)
        )
        found |= {
            (catalog_id, row.event_id): _Known(row.digest, row.actor)
            for row in connection.execute(statement)
        }
    return found


def _interaction(stored: StoredEvent) -> Interaction:
    event = stored.event
    if event.type is None or event.time_micros is None:
        raise ValueError("only checked events are stored")
    what = (event.product_id, event.type, event.value, event.time_micros, event.event_id)
    return Interaction(stored.actor, *what, quantity=event.quantity, unproven=event.unproven)


def _row(connection: Connection, stored: StoredEvent, interaction: Interaction) -> dict[str, Any]:
    """Return the values of _COLUMNS."""
    event, price = stored.event, stored.event.unit_price
    special = {
        "type": interaction.type.value,
        "kind": kind_of(interaction.type),
        "unit_price_micros": None if price is None else price.micros,
        "unit_price_currency": "" if price is None else price.currency,
    }
    special |= zip(_OF_EVENT, _event_values(event), strict=True)
    special |= zip(_OF_STORED, _stored_values(stored), strict=True)
    if event.query:
        special["query"] = seal(connection, query_of(stored.catalog_id), event.query)
    return special


def _stored(connection: Connection, row: sa.Row[Any]) -> StoredEvent:
    price = row.unit_price_micros
    given = {name: getattr(row, name) for name in _OF_EVENT}
    given["query"] = unseal(connection, query_of(row.catalog_id), row.query)
    given["event_id"] = given_id(row.event_id)
    event = Event(
        shopper=None,
        type=EventType(row.type),
        unit_price=None if price is None else Money(price, row.unit_price_currency),
        **given,
    )
    of_stored = {name: getattr(row, name) for name in _OF_STORED}
    return StoredEvent(event=event, sequence=row.sequence, **of_stored)
