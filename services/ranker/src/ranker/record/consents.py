"""What shoppers consent to, in SQL. All reads and writes of shoppers' data ask this module.

A row is a decision of a shopper, or of a catalog (`EVERYBODY`) for those who have not decided;
`latest` marks the one that applies. After an erasure only withdrawals are left, with the hash of
the pseudonym in its place: they apply again, under the pseudonym, when the shopper returns.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import BY_DEFAULT, EVERYBODY, Purpose, Refusers
from ranker.domain.erasure import Person, person_hash
from ranker.record.rows import Among, RowsStatement
from ranker.record.tables import CONSENTS

_NOBODY = frozenset[Purpose]()


def refused(
    connection: Connection, catalog_id: str, actors: Iterable[str]
) -> Mapping[str, frozenset[Purpose]]:
    """Return the purposes that each of these shoppers refuses."""
    asked = {*actors, EVERYBODY}
    given = {"catalog_id": catalog_id, "actors": sorted(asked)}
    decided: defaultdict[str, dict[Purpose, bool]] = defaultdict(dict)
    for actor, purpose, granted in _DECIDED.of(connection, given):
        decided[actor][Purpose(purpose)] = bool(granted)
    usual = _refused({**BY_DEFAULT, **decided.pop(EVERYBODY, {})})
    found = dict.fromkeys(asked, usual)
    for actor, own in decided.items():
        kept = usual - own.keys()
        found[actor] = kept | _refused(own)
    return found


def refusing(
    connection: Connection, catalog_id: str, purpose: Purpose, actors: Iterable[str]
) -> frozenset[str]:
    """Return those of these shoppers who refuse a purpose."""
    found = refused(connection, catalog_id, actors)
    return frozenset(actor for actor, theirs in found.items() if purpose in theirs)


def refusers(connection: Connection, catalog_id: str, purpose: Purpose) -> Refusers:
    """Return all shoppers who refuse a purpose."""
    usual = purpose in refused(connection, catalog_id, ())[EVERYBODY]
    others = connection.execute(_deciding(catalog_id, purpose, granted=usual)).scalars()
    return Refusers(usual, frozenset(others))


def permits(
    connection: Connection, catalog_id: str, purpose: Purpose, actor: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    """Return the SQL condition that the shopper of a row does not refuse a purpose."""
    usual = purpose in refused(connection, catalog_id, ())[EVERYBODY]
    decided = _deciding(catalog_id, purpose, granted=usual)
    return actor.in_(decided) if usual else actor.not_in(decided)


def _deciding(catalog_id: str, purpose: Purpose, *, granted: bool) -> sa.Select[str]:
    """Select the shoppers who have decided so."""
    t = CONSENTS.c
    here = (t.catalog_id == catalog_id, t.purpose == purpose.value, t.actor != EVERYBODY)
    return sa.select(t.actor).where(*here, t.latest, t.granted == granted)


def _refused(granted: Mapping[Purpose, bool]) -> frozenset[Purpose]:
    return frozenset(one for one, given in granted.items() if not given) or _NOBODY


def forget(connection: Connection, person: Person) -> tuple[int, int]:
    """Delete an erased shopper's decisions but for withdrawals that apply, which stay under a hash.
    Return the numbers of deleted and of remaining rows."""
    t = CONSENTS.c
    theirs = (
        t.catalog_id == person.catalog_id,
        t.actor.in_(person.actors),
        t.decided_micros <= person.requested_micros,
    )
    kept = sa.and_(t.latest, sa.not_(t.granted))
    gone = connection.execute(sa.delete(CONSENTS).where(*theirs, sa.not_(kept))).rowcount
    left = 0
    for actor in person.actors:
        hashed = sa.update(CONSENTS).where(*theirs, t.actor == actor)
        left += connection.execute(hashed.values(actor=person_hash(actor), key_id="")).rowcount
    return gone, left


def untrained_since(connection: Connection, catalog_id: str, micros: int) -> Mapping[str, int]:
    """Return when shoppers, as hashes of their pseudonyms, refused trainings since then; also for
    EVERYBODY."""
    t = CONSENTS.c
    found = sa.select(t.actor, t.decided_micros).where(
        t.catalog_id == catalog_id,
        t.purpose == Purpose.TRAIN.value,
        t.latest,
        sa.not_(t.granted),
        t.decided_micros >= micros,
    )
    return {person_hash(row.actor): row.decided_micros for row in connection.execute(found)}


def recall(connection: Connection, catalog_id: str, actors: Sequence[str], key_id: str) -> None:
    """Store the withdrawals of erased shoppers under their pseudonyms again, if they return."""
    if not _RECALLED.of(connection, {"catalog_id": catalog_id}):
        return
    t, hashed = CONSENTS.c, _hashed(catalog_id)
    names = {person_hash(actor): actor for actor in actors}
    found = sa.select(t.actor).where(*hashed, t.actor.in_(sorted(names))).distinct()
    for name in connection.execute(found).scalars().all():
        back = sa.update(CONSENTS).where(*hashed, t.actor == name)
        connection.execute(back.values(actor=names[name], key_id=key_id))


def _hashed(catalog_id: Any) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of decisions of erased shoppers. `catalog_id`: a value, or SQL."""
    t = CONSENTS.c
    return t.catalog_id == catalog_id, t.key_id == "", t.actor != EVERYBODY


_CATALOG: sa.BindParameter[str] = sa.bindparam("catalog_id")
_DECIDED = RowsStatement(
    sa.select(CONSENTS.c.actor, CONSENTS.c.purpose, CONSENTS.c.granted).where(
        CONSENTS.c.catalog_id == _CATALOG, CONSENTS.c.latest, Among(CONSENTS.c.actor, "actors")
    )
)
_RECALLED = RowsStatement(sa.select(CONSENTS.c.sequence).where(*_hashed(_CATALOG)).limit(1))
