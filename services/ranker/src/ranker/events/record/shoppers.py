"""Identities in SQL: merged visitors, attributes given by shoppers, and the key of the pseudonyms.

After a merge the two ids are one shopper: rows of the visitor's pseudonym move to the user's, later
events of the visitor are stored under the user's, and requests for the visitor return the user. The
digest of an event remains that of the event as given, so that a retry under the visitor's id is
recognised.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.errors import KeyUnusable
from ranker.domain.features import shopper_feature_names
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.record.count_queue import enqueue_shopper
from ranker.events.record.rows import TableRecord
from ranker.events.record.tables import ALIASES, ANSWERS, ATTRIBUTES, EVENTS, KEYS
from servicekit.sql import Database


class ShopperRecord(TableRecord):
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
            )
        )

    async def set_attributes(
        self,
        catalog_id: str,
        actor: str,
        attributes: Mapping[str, str],
        *,
        key_id: str,
        now_micros: int,
    ) -> int:
        """Replace the shopper's attributes and return the number of former ones. Those of a merged
        visitor are stored under the user. An empty set withdraws the consent."""

        def replace(connection: Connection) -> int:
            gate(connection, catalog_id, alone=True)
            whose = owner(connection, catalog_id, actor)
            t = ATTRIBUTES.c
            theirs = sa.delete(ATTRIBUTES).where(t.catalog_id == catalog_id, t.actor == whose)
            gone = connection.execute(theirs).rowcount
            rows = [
                {
                    "catalog_id": catalog_id,
                    "actor": whose,
                    "key": key,
                    "value": value,
                    "key_id": key_id,
                    "consent_micros": now_micros,
                }
                for key, value in sorted(attributes.items())
            ]
            if rows:
                connection.execute(sa.insert(ATTRIBUTES), rows)
            if rows or gone:
                enqueue_shopper(connection, catalog_id, (whose,), whose, now_micros)
            return gone

        return await self._db.write(replace)

    async def attributes(self, catalog_id: str) -> dict[str, tuple[str, ...]]:
        """Return the feature names of each shopper's attributes, by pseudonym."""
        t = ATTRIBUTES.c
        statement = sa.select(t.actor, t.key, t.value).where(t.catalog_id == catalog_id)
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for actor, key, value in rows:
            found[actor].append((key, value))
        return {actor: shopper_feature_names(given) for actor, given in sorted(found.items())}


def owner(connection: Connection, catalog_id: str, actor: str) -> str:
    """Return the pseudonym under which an actor's events are stored: the user's, or their own."""
    return owners(connection, catalog_id, (actor,)).get(actor, actor)


def owners(connection: Connection, catalog_id: str, actors: Iterable[str]) -> Mapping[str, str]:
    """Return the users of those of `actors` that are merged visitors."""
    t = ALIASES.c
    statement = sa.select(t.visitor, t.actor).where(
        t.catalog_id == catalog_id, t.visitor.in_(sorted(set(actors)))
    )
    return {row.visitor: row.actor for row in connection.execute(statement)}


def gate(connection: Connection, catalog_id: str, *, alone: bool) -> None:
    """Take a catalog's lock until the transaction ends: shared for writers of events, exclusive
    (`alone`) for a merge or a purge. Without it an event could be stored under a visitor's
    pseudonym during a merge. SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
        connection.execute(sa.select(lock(crc32(b"events of " + catalog_id.encode()))))


def _merge(connection: Connection, row: Mapping[str, Any]) -> int:
    """Store this row of ALIASES, move the visitor's rows and return the number of events moved."""
    catalog_id, visitor, user = row["catalog_id"], row["visitor"], row["actor"]
    gate(connection, catalog_id, alone=True)
    if owner(connection, catalog_id, visitor) != user:
        t = ALIASES.c
        same = (t.catalog_id == catalog_id, t.visitor == visitor)
        connection.execute(sa.delete(ALIASES).where(*same))
        connection.execute(sa.insert(ALIASES).values(row))
    enqueue_shopper(connection, catalog_id, (visitor, user), user, row["merged_micros"])
    _move_attributes(connection, catalog_id, visitor, user)
    moved = 0
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
        stored = connection.execute(sa.select(KEYS.c.fingerprint)).scalar()
        if stored is None:
            row = {"key_id": pseudonyms.key_id, "fingerprint": pseudonyms.fingerprint}
            connection.execute(sa.insert(KEYS).values(row))
        return stored is None or stored == pseudonyms.fingerprint

    if not await database.write(bind):
        raise KeyUnusable(
            "the record's pseudonyms were made with another key: with this one no history "
            "would be found: set the former key, or start with an empty record"
        )
