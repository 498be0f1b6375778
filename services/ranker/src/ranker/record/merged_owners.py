"""Owners of shoppers' data in SQL: after a merge, a visitor's data belongs to the user."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.record.rows import Among, RowsStatement
from ranker.record.tables import ALIASES
from servicekit.sql.locks import lock


def owner(connection: Connection, catalog_id: str, actor: str) -> str:
    """Return the pseudonym under which an actor's events are stored: the user's, or their own."""
    return owners(connection, catalog_id, (actor,)).get(actor, actor)


def owners(connection: Connection, catalog_id: str, actors: Iterable[str]) -> Mapping[str, str]:
    """Return the users of those of `actors` that are merged visitors."""
    given = {"catalog_id": catalog_id, "actors": sorted(set(actors))}
    return _OWNERS.pairs(connection, given)


def gate(connection: Connection, catalog_id: str, *, alone: bool) -> None:
    """Take a catalog's lock until the transaction ends: shared for writers of events, exclusive
    (`alone`) for a merge or a purge. Without it an event could be stored under a visitor's
    pseudonym during a merge.
    """
    lock(connection, f"events of {catalog_id}", shared=not alone)


_OWNERS = RowsStatement(
    sa.select(ALIASES.c.visitor, ALIASES.c.actor).where(
        ALIASES.c.catalog_id == sa.bindparam("catalog_id"), Among(ALIASES.c.visitor, "actors")
    )
)
