"""From whom models may learn, in SQL. Whatever keeps what it learned asks this module; counts that
an erasure itself corrects, such as popularity, need the consents alone."""

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import Purpose
from ranker.domain.erasure import person_hash
from ranker.record import consents
from ranker.record.tables import ERASURES, EVENTS

PROVEN = ~EVENTS.c.unproven
"""The event's shopper is proven. Reports on experiments and on answers in service need no such
condition: they count events with the signed token of an answer, of which each answer has one, and
repeated outcomes of an answer count once."""


def learnable(connection: Connection, catalog_id: str, table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the SQL condition that one may learn from a row of a table with a column `actor`: the
    shopper does not refuse it, and is not being erased. An event must also be PROVEN.

    An erasure deletes a shopper's rows by a job, which may wait behind others. What is learned
    after the request must be without them all the same, because it counts as such.
    """
    permitted = consents.permits(connection, catalog_id, Purpose.TRAIN, table.c.actor)
    erased = _under_erasure(connection, catalog_id, table)
    conditions = [permitted]
    if erased:
        conditions.append(table.c.actor.not_in(erased))
    if table is EVENTS:
        conditions.append(PROVEN)
    return sa.and_(*conditions)


def _under_erasure(connection: Connection, catalog_id: str, table: sa.Table) -> list[str]:
    """Return the shoppers with rows whose erasure was requested and is not complete. Only hashes
    of their pseudonyms are known."""
    t = ERASURES.c
    waiting = sa.select(t.person).where(t.catalog_id == catalog_id, t.completed_micros == 0)
    hashes = set(connection.execute(waiting).scalars())
    if not hashes:
        return []
    here = sa.select(table.c.actor).where(table.c.catalog_id == catalog_id).distinct()
    return [actor for actor in connection.execute(here).scalars() if person_hash(actor) in hashes]
