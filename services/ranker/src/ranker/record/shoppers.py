"""Identities in SQL: merged visitors, attributes given by shoppers, and the key of the pseudonyms.

After a merge the two ids are one shopper: rows of the visitor's pseudonym move to the user's, later
events of the visitor are stored under the user's, and requests for the visitor return the user. The
digest of an event remains that of the event as given, so that a retry under the visitor's id is
recognised.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import Decision, Purpose
from ranker.domain.errors import ConsentRequired, KeyUnusable
from ranker.domain.features import shopper_feature_names
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import DEFAULTS, Signals
from ranker.record import consents
from ranker.record.consent_changes import decide, merging
from ranker.record.count_queue import enqueue_shopper
from ranker.record.encrypted_columns import seal, unseal, value_of
from ranker.record.learnable import learnable
from ranker.record.merged_owners import gate, owner
from ranker.record.rows import TableRecord
from ranker.record.stored_key import stored_fingerprint
from ranker.record.tables import ALIASES, ANSWERS, ATTRIBUTES, EVENTS, KEYS
from servicekit.sql.database import Database
from servicekit.sql.locks import lock

SOURCE = "SetShopperAttributes"
"""Source of a decision that comes with attributes."""


class ShopperRecord(TableRecord):
    def __init__(self, database: Database, signals: Signals = DEFAULTS) -> None:
        """`signals`: the weights of events in popularity."""
        super().__init__(database)
        self._signals = signals

    async def merge(
        self, catalog_id: str, visitor: str, user: str, *, key_id: str, now_micros: int
    ) -> int:
        """Merge a visitor into a user in one transaction and return the number of events moved. All
        three names are pseudonyms under `key_id`. If a visitor is merged with two users in turn,
        the second one gets its later events.
        """
        return await self._db.write(
            lambda connection: _merge(
                connection,
                {
                    "catalog_id": catalog_id,
                    "visitor": visitor,
                    "actor": user,
                    "key_id": key_id,
                    "merged_micros": now_micros,
                },
                self._signals,
            )
        )

    async def set_attributes(
        self,
        catalog_id: str,
        actor: str,
        attributes: Mapping[str, str],
        *,
        consent: bool,
        key_id: str,
        now_micros: int,
    ) -> int:
        """Replace the shopper's attributes and return the number of former ones. Those of a merged
        visitor are stored under the user. `consent` is stored as their decision; without it,
        ConsentRequired unless they consented before. An empty set withdraws the consent."""

        def replace(connection: Connection) -> int:
            gate(connection, catalog_id, alone=True)
            whose = owner(connection, catalog_id, actor)
            refuses = (
                Purpose.ATTRIBUTES in consents.refused(connection, catalog_id, (whose,))[whose]
            )
            if attributes and refuses and not consent:
                raise ConsentRequired
            t = ATTRIBUTES.c
            theirs = sa.delete(ATTRIBUTES).where(t.catalog_id == catalog_id, t.actor == whose)
            gone = connection.execute(theirs).rowcount
            rows = [
                {
                    "catalog_id": catalog_id,
                    "actor": whose,
                    "key": key,
                    "value": seal(connection, value_of(catalog_id), value),
                    "key_id": key_id,
                    "consent_micros": now_micros,
                }
                for key, value in sorted(attributes.items())
            ]
            if bool(rows) is refuses:
                made = Decision(Purpose.ATTRIBUTES, bool(rows), SOURCE, now_micros)
                decide(connection, catalog_id, whose, (made,), self._signals, key_id=key_id)
            if rows:
                connection.execute(sa.insert(ATTRIBUTES), rows)
            if rows or gone:
                enqueue_shopper(connection, catalog_id, (whose,), whose, now_micros)
            return gone

        return await self._db.write(replace)

    async def attributes(self, catalog_id: str) -> dict[str, tuple[str, ...]]:
        """Return the feature names of the attributes of each shopper from whom models may learn, by
        pseudonym."""
        t = ATTRIBUTES.c
        statement = sa.select(t.actor, t.key, t.value).where(t.catalog_id == catalog_id)

        def read(connection: Connection) -> Sequence[tuple[str, str, str]]:
            permitted = learnable(connection, catalog_id, ATTRIBUTES)
            about = value_of(catalog_id)
            return [
                (actor, key, unseal(connection, about, value))
                for actor, key, value in connection.execute(statement.where(permitted))
            ]

        rows = await self._db.read(read)
        found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for actor, key, value in rows:
            found[actor].append((key, value))
        return {actor: shopper_feature_names(given) for actor, given in sorted(found.items())}


def _merge(connection: Connection, row: Mapping[str, Any], signals: Signals) -> int:
    """Store this row of ALIASES, move the visitor's rows and return the number of events moved."""
    catalog_id, visitor, user = row["catalog_id"], row["visitor"], row["actor"]
    gate(connection, catalog_id, alone=True)
    if owner(connection, catalog_id, visitor) != user:
        t = ALIASES.c
        same = (t.catalog_id == catalog_id, t.visitor == visitor)
        connection.execute(sa.delete(ALIASES).where(*same))
        connection.execute(sa.insert(ALIASES).values(row))
    moved = 0
    with merging(connection, catalog_id, visitor, user, signals):
        enqueue_shopper(connection, catalog_id, (visitor, user), user, row["merged_micros"])
        _move_attributes(connection, catalog_id, visitor, user)
        for table in (ANSWERS, EVENTS):
            theirs = (table.c.catalog_id == catalog_id, table.c.actor == visitor)
            moved = connection.execute(sa.update(table).where(*theirs).values(actor=user)).rowcount
    return moved


def _move_attributes(connection: Connection, catalog_id: str, visitor: str, user: str) -> None:
    """Move a visitor's attributes to the user; the user's value of a key takes precedence."""
    t = ATTRIBUTES.c
    here = t.catalog_id == catalog_id
    known = sa.select(t.key).where(here, t.actor == user)
    new = sa.update(ATTRIBUTES).where(here, t.actor == visitor, t.key.not_in(known))
    connection.execute(new.values(actor=user))
    connection.execute(sa.delete(ATTRIBUTES).where(here, t.actor == visitor))


async def has_key(database: Database) -> bool:
    """Return whether the store was written with a key."""
    statement = sa.select(KEYS.c.key_id).limit(1)
    return await database.read(lambda connection: connection.execute(statement).first() is not None)


async def check_key(database: Database, pseudonyms: Pseudonyms) -> None:
    """Bind a new store to the key. Raise KeyUnusable if the store was written with another key."""

    def bind(connection: Connection) -> bool:
        lock(connection, "key of the record")
        stored = connection.execute(sa.select(KEYS.c.fingerprint)).scalar()
        if stored is None:
            row = {"key_id": pseudonyms.key_id, "fingerprint": pseudonyms.fingerprint}
            connection.execute(sa.insert(KEYS).values(row))
        return stored is None or stored == pseudonyms.fingerprint

    if not await database.write(bind):
        if pseudonyms.since(await stored_fingerprint(database)) is not None:
            raise KeyUnusable(
                "the record's pseudonyms were made with a former key of the file: run"
                " python -m ranker.rekey"
            )
        raise KeyUnusable(
            "the record's pseudonyms were made with another key: with this one no history "
            "would be found: set the former key, or start with an empty record"
        )
