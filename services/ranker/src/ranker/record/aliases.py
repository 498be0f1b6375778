"""Visitors who turned out to be users, in SQL.

After a merge the two ids are one shopper: what was kept under the visitor's pseudonym has moved to
the user's, what comes in later under it is filed under the user's, and whoever is asked for by it
is the user. The digest of an event stays that of the event as given, so that a retry under the
visitor's id is still the same event.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.record.tables import ALIASES, ANSWERS, ATTRIBUTES, EVENTS
from servicekit.sql import Database


class ShopperRecord:
    """Who is who, in all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def merge(
        self, catalog_id: str, visitor: str, user: str, *, key_id: str, now_micros: int
    ) -> int:
        """Make the visitor the user, in one transaction; how many events moved.

        All three names are pseudonyms of `key_id`. Of two users that a visitor is merged with, the
        later one gets what comes in later.
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


def owner(connection: Connection, catalog_id: str, actor: str) -> str:
    """Under whose pseudonym the events of `actor` are kept: the user's, or their own."""
    return owners(connection, catalog_id, (actor,)).get(actor, actor)


def owners(connection: Connection, catalog_id: str, actors: Iterable[str]) -> Mapping[str, str]:
    """The users that visitors among `actors` are; only those that were merged."""
    t = ALIASES.c
    statement = sa.select(t.visitor, t.actor).where(
        t.catalog_id == catalog_id, t.visitor.in_(sorted(set(actors)))
    )
    return {row.visitor: row.actor for row in connection.execute(statement)}


def gate(connection: Connection, catalog_id: str, *, alone: bool) -> None:
    """Let writers of a catalog's events in together, and a merge or a purge `alone`, until the
    transaction ends: no event may slip in under a visitor's pseudonym while it is merged.

    Writers of SQLite are alone anyway.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
        connection.execute(sa.select(lock(crc32(b"events of " + catalog_id.encode()))))


def _merge(connection: Connection, row: Mapping[str, Any]) -> int:
    """Keep this row of ALIASES and move what is there; how many events moved."""
    catalog_id, visitor, user = row["catalog_id"], row["visitor"], row["actor"]
    gate(connection, catalog_id, alone=True)
    if owner(connection, catalog_id, visitor) != user:
        t = ALIASES.c
        same = (t.catalog_id == catalog_id, t.visitor == visitor)
        connection.execute(sa.delete(ALIASES).where(*same))
        connection.execute(sa.insert(ALIASES).values(row))
    _move_attributes(connection, catalog_id, visitor, user)
    moved = 0
    for table in (ANSWERS, EVENTS):
        theirs = (table.c.catalog_id == catalog_id, table.c.actor == visitor)
        moved = connection.execute(sa.update(table).where(*theirs).values(actor=user)).rowcount
    return moved


def _move_attributes(connection: Connection, catalog_id: str, visitor: str, user: str) -> None:
    """Make what a visitor gave the user's; of a key that both gave, the user's value stays."""
    t = ATTRIBUTES.c
    here = t.catalog_id == catalog_id
    known = sa.select(t.key).where(here, t.actor == user)
    new = sa.update(ATTRIBUTES).where(here, t.actor == visitor, t.key.not_in(known))
    connection.execute(new.values(actor=user))
    connection.execute(sa.delete(ATTRIBUTES).where(here, t.actor == visitor))
