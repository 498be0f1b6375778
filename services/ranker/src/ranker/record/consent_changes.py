"""Decisions of shoppers in SQL, with what follows from them in the same transaction.

The sums over all shoppers' events gain or lose the shopper's events; attributes and arms of
experiments are deleted. Events and records of answers are deleted by the worker
(events/consent_retention.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import (
    EVERYBODY,
    MOST_HISTORY,
    PHOTO_VECTORS,
    STORING,
    Consents,
    Decision,
    Purpose,
    Refusers,
    StoredDecision,
)
from ranker.domain.erasure import Person, person_hash
from ranker.domain.events import Interaction, StoredEvent
from ranker.domain.signals import DEFAULTS, Signals
from ranker.record import consents, popularity
from ranker.record.answers import WITHOUT_PHOTO
from ranker.record.count_queue import enqueue_shopper
from ranker.record.merged_owners import gate, owner, owners
from ranker.record.popularity_changes import give_back, withdraw
from ranker.record.rows import TableRecord
from ranker.record.shopper_history import INTERACTION, interaction_of
from ranker.record.tables import ANSWERS, ATTRIBUTES, CONSENTS, EVENTS, KIND_INTEREST
from servicekit.sql.database import Database

Withdrawals: TypeAlias = Mapping[tuple[Purpose, int], Set[str]]
"""By purpose and time of the decision: hashes of shoppers."""


class ConsentRecord(TableRecord):
    def __init__(self, database: Database, signals: Signals = DEFAULTS) -> None:
        """`signals`: the weights of events in popularity."""
        super().__init__(database)
        self._signals = signals

    async def decide(
        self, catalog_id: str, actor: str, decisions: Sequence[Decision], *, key_id: str
    ) -> Consents:
        """Store decisions of a shopper, or of a catalog (EVERYBODY), and return what applies then.
        A decision that applies already, with the same source, is not stored again."""

        def work(connection: Connection) -> Consents:
            gate(connection, catalog_id, alone=True)
            whose = owner(connection, catalog_id, actor) if actor else EVERYBODY
            if whose:
                consents.recall(connection, catalog_id, (whose,), key_id)
            decide(connection, catalog_id, whose, decisions, self._signals, key_id=key_id)
            return _consents(connection, catalog_id, whose)

        return await self._db.write(work)

    async def get(self, catalog_id: str, actor: str) -> Consents:
        """Return what a shopper consents to; a catalog's default for EVERYBODY."""

        def work(connection: Connection) -> Consents:
            whose = owner(connection, catalog_id, actor) if actor else EVERYBODY
            return _consents(connection, catalog_id, whose)

        return await self._db.read(work)

    async def forget(self, person: Person) -> tuple[int, int]:
        """Erase a shopper's decisions but for withdrawals. Return the numbers of deleted and of
        remaining rows."""

        def write(connection: Connection) -> tuple[int, int]:
            gate(connection, person.catalog_id, alone=True)
            return consents.forget(connection, person)

        return await self._db.write(write)

    async def since(self, catalog_id: str, micros: int, limit: int) -> Sequence[StoredDecision]:
        """Return at most `limit` of the decisions made since then, oldest first."""
        t = CONSENTS.c
        made = (
            sa.select(CONSENTS)
            .where(t.catalog_id == catalog_id, t.decided_micros >= micros)
            .order_by(t.decided_micros, t.sequence)
            .limit(limit)
        )
        rows = await self._db.read(lambda connection: connection.execute(made).all())
        return [
            StoredDecision(
                row.actor,
                row.key_id,
                Decision(Purpose(row.purpose), row.granted, row.source, row.decided_micros),
            )
            for row in rows
        ]

    async def withdrawals(
        self, catalog_id: str, first_micros: int, last_micros: int
    ) -> Withdrawals:
        """Return the shoppers' withdrawals that apply and were made within these times."""
        t = CONSENTS.c
        made = sa.select(t.actor, t.key_id, t.purpose, t.decided_micros).where(
            *(t.catalog_id == catalog_id, t.actor != EVERYBODY, t.latest, sa.not_(t.granted)),
            t.decided_micros.between(first_micros, last_micros),
        )
        rows = await self._db.read(lambda connection: connection.execute(made).all())
        found: defaultdict[tuple[Purpose, int], set[str]] = defaultdict(set)
        for row in rows:
            whose = person_hash(row.actor) if row.key_id else row.actor
            found[Purpose(row.purpose), row.decided_micros].add(whose)
        return found

    async def restore(self, catalog_id: str, decided: Sequence[StoredDecision]) -> None:
        """Store decisions, oldest first, that the record lacks."""

        def write(connection: Connection) -> None:
            gate(connection, catalog_id, alone=True)
            for one in decided:
                whose = owner(connection, catalog_id, one.actor) if one.actor else EVERYBODY
                if one.key_id:
                    consents.recall(connection, catalog_id, (whose,), one.key_id)
                if not _is_known(connection, catalog_id, whose, one.decision):
                    given = (catalog_id, whose, (one.decision,), self._signals)
                    decide(connection, *given, key_id=one.key_id)

        await self._db.write(write)

    async def permitted(self, events: Sequence[StoredEvent]) -> Sequence[bool]:
        """Return for each event whether its shopper consents to a use of it."""

        def read(connection: Connection) -> Sequence[bool]:
            found: dict[tuple[str, str], bool] = {}
            for catalog_id in sorted({one.catalog_id for one in events}):
                actors = {one.actor for one in events if one.catalog_id == catalog_id}
                whose = owners(connection, catalog_id, actors)
                asked = {actor: whose.get(actor, actor) for actor in actors}
                refused = consents.refused(connection, catalog_id, asked.values())
                for actor, user in asked.items():
                    found[catalog_id, actor] = not refused[user] >= STORING
            return [found[one.catalog_id, one.actor] for one in events]

        return await self._db.read(read)

    async def without_use(self, catalog_id: str, limit: int) -> Sequence[str]:
        """Return shoppers with events that may not be used for anything."""

        def read(connection: Connection) -> Sequence[str]:
            t = EVENTS.c
            refusing = [
                sa.not_(consents.permits(connection, catalog_id, one, t.actor)) for one in STORING
            ]
            found = sa.select(t.actor).where(t.catalog_id == catalog_id, *refusing).distinct()
            return connection.execute(found.limit(limit)).scalars().all()

        return await self._db.read(read)

    async def delete_answers(self, catalog_id: str, limit: int) -> int:
        """Delete at most `limit` records of answers to shoppers who refuse personal answers."""

        def write(connection: Connection) -> int:
            gate(connection, catalog_id, alone=False)
            t = ANSWERS.c
            allowed = consents.permits(connection, catalog_id, Purpose.PERSONALISE, t.actor)
            theirs = (t.catalog_id == catalog_id, t.actor != "", sa.not_(allowed))
            some = sa.select(t.answer_id).where(*theirs).limit(limit)
            gone = sa.delete(ANSWERS).where(t.catalog_id == catalog_id, t.answer_id.in_(some))
            return connection.execute(gone).rowcount

        return await self._db.write(write)

    async def delete_photos(self, catalog_id: str, limit: int) -> int:
        """Delete the vectors of photos, from at most `limit` records of answers to shoppers who do
        not consent to them."""

        def write(connection: Connection) -> int:
            gate(connection, catalog_id, alone=False)
            t = ANSWERS.c
            allowed = [
                consents.permits(connection, catalog_id, one, t.actor)
                for one in sorted(PHOTO_VECTORS)
            ]
            theirs = (t.catalog_id == catalog_id, t.photo_space != "", sa.not_(sa.and_(*allowed)))
            some = sa.select(t.answer_id).where(*theirs).limit(limit)
            here = sa.update(ANSWERS).where(t.catalog_id == catalog_id, t.answer_id.in_(some))
            return connection.execute(here.values(WITHOUT_PHOTO)).rowcount

        return await self._db.write(write)

    async def refusers(self, catalog_id: str, purpose: Purpose) -> Refusers:
        """Return all shoppers who refuse a purpose."""
        return await self._db.read(lambda c: consents.refusers(c, catalog_id, purpose))

    async def newest_refusal(self, catalog_id: str, purpose: Purpose) -> int:
        """Return when a purpose was last refused, microseconds since 1970 (UTC); 0: never."""
        t = CONSENTS.c
        newest = sa.select(sa.func.max(t.decided_micros)).where(
            t.catalog_id == catalog_id, t.purpose == purpose.value, t.latest, sa.not_(t.granted)
        )
        return await self._db.read(lambda c: c.execute(newest).scalar()) or 0


def _is_known(connection: Connection, catalog_id: str, actor: str, one: Decision) -> bool:
    """Return whether the record has the decision, or a later one on its purpose."""
    t = CONSENTS.c
    later = sa.select(t.sequence).where(
        t.catalog_id == catalog_id,
        t.actor == actor,
        t.purpose == one.purpose.value,
        t.decided_micros >= one.decided_micros,
    )
    return connection.execute(later.limit(1)).first() is not None


def decide(
    connection: Connection,
    catalog_id: str,
    actor: str,
    decisions: Iterable[Decision],
    signals: Signals,
    *,
    key_id: str,
) -> None:
    """Store new decisions with all that follows. The caller holds the catalog's lock."""
    t = CONSENTS.c
    mine = (t.catalog_id == catalog_id, t.actor == actor, t.latest)
    held = {row.purpose: row for row in connection.execute(sa.select(CONSENTS).where(*mine))}
    new = [
        one
        for one in decisions
        if (old := held.get(one.purpose)) is None
        or (old.granted, old.source) != (one.granted, one.source)
    ]
    if not new:
        return
    before = consents.refused(connection, catalog_id, (actor,))[actor]
    former = sa.update(CONSENTS).where(*mine, t.purpose.in_([one.purpose.value for one in new]))
    connection.execute(former.values(latest=False))
    rows = [
        {
            "catalog_id": catalog_id,
            "actor": actor,
            "purpose": one.purpose.value,
            "source": one.source,
            "key_id": key_id if actor else "",
            "decided_micros": one.decided_micros,
            "granted": one.granted,
            "latest": True,
        }
        for one in new
    ]
    connection.execute(sa.insert(CONSENTS), rows)
    if actor:
        after = consents.refused(connection, catalog_id, (actor,))[actor]
        said = _said(connection, catalog_id, actor)
        _follow(connection, catalog_id, actor, Change(before, after, said), signals)
        if Purpose.TRAIN in before ^ after:
            now = max(one.decided_micros for one in new)
            enqueue_shopper(connection, catalog_id, (actor,), actor, now)


@contextmanager
def merging(
    connection: Connection, catalog_id: str, visitor: str, user: str, signals: Signals
) -> Iterator[None]:
    """Move a visitor's decisions to the user, of which the latest on each purpose apply. The block
    moves all other data."""
    t = CONSENTS.c
    both = (t.catalog_id == catalog_id, t.actor.in_((visitor, user)))
    if not connection.execute(sa.select(t.sequence).where(*both).limit(1)).first():
        yield
        return
    refused = consents.refused(connection, catalog_id, (visitor, user))
    said = {actor: _said(connection, catalog_id, actor) for actor in (visitor, user)}
    connection.execute(sa.update(CONSENTS).where(*both).values(actor=user, latest=False))
    rows = connection.execute(sa.select(t.purpose, t.decided_micros, t.sequence).where(*both))
    latest = {row.purpose: row.sequence for row in sorted(rows, key=lambda row: row[1:])}
    applies = sa.update(CONSENTS).where(t.sequence.in_(sorted(latest.values())))
    connection.execute(applies.values(latest=True))
    yield
    after = consents.refused(connection, catalog_id, (user,))[user]
    for actor in (visitor, user):
        change = Change(refused[actor], after, said[actor])
        _follow(connection, catalog_id, user, change, signals)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of what is refused."""

    before: frozenset[Purpose]
    after: frozenset[Purpose]
    said: Sequence[Interaction]
    """Events of interest that it affects."""


def _said(connection: Connection, catalog_id: str, actor: str) -> Sequence[Interaction]:
    t = EVENTS.c
    theirs = sa.select(*INTERACTION).where(
        t.catalog_id == catalog_id, t.actor == actor, t.kind == KIND_INTEREST
    )
    return [interaction_of(row) for row in connection.execute(theirs)]


def _follow(
    connection: Connection, catalog_id: str, actor: str, change: Change, signals: Signals
) -> None:
    """Apply a change to the shopper's attributes and arms, and to popularity."""
    newly = change.after - change.before
    if Purpose.ATTRIBUTES in newly:
        t = ATTRIBUTES.c
        theirs = (t.catalog_id == catalog_id, t.actor == actor)
        connection.execute(sa.delete(ATTRIBUTES).where(*theirs))
    if Purpose.EXPERIMENT in newly:
        _leave_experiments(connection, catalog_id, actor)
    sums = popularity.sums(change.said, signals)
    if Purpose.TRAIN in newly:
        withdraw(connection, catalog_id, sums, signals)
    elif Purpose.TRAIN in change.before - change.after:
        give_back(connection, catalog_id, sums)


def _leave_experiments(connection: Connection, catalog_id: str, actor: str) -> None:
    for table, name in ((EVENTS, "arm"), (ANSWERS, "arms")):
        theirs = (table.c.catalog_id == catalog_id, table.c.actor == actor, table.c[name] != "")
        connection.execute(sa.update(table).where(*theirs).values({name: ""}))


def _consents(connection: Connection, catalog_id: str, actor: str) -> Consents:
    t = CONSENTS.c
    newest = (
        sa.select(t.purpose, t.granted, t.source, t.decided_micros, t.latest)
        .where(t.catalog_id == catalog_id, t.actor == actor)
        .order_by(t.sequence.desc())
        .limit(MOST_HISTORY)
    )
    rows = connection.execute(newest).all()
    refused = consents.refused(connection, catalog_id, (actor,))[actor]
    return Consents(
        granted={one: one not in refused for one in Purpose},
        decided={Purpose(row.purpose) for row in rows if row.latest},
        history=tuple(Decision(Purpose(row[0]), *row[1:4]) for row in rows),
    )
