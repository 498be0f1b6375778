"""Late events, which waited in a log before they reached the record: a purge or an erasure that was
requested meanwhile applies to them.

Purges are stored as jobs. Writers read them under a shared lock, and a purge deletes under the same
lock exclusively: either the purge sees the written events, or the writer sees the purge.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.erasure import is_erased
from ranker.domain.events import StoredEvent
from ranker.domain.selection import PURGE, Selection, fits, selection_of
from ranker.record.erasures import erased_since
from ranker.record.merged_owners import owners
from ranker.record.tables import JOBS
from servicekit.jobs.queue import JobState


def purged(connection: Connection, events: Sequence[StoredEvent]) -> frozenset[int]:
    """Return the indexes of the events that a purge or an erasure covers. Their time of receipt
    decides. The caller holds the catalogs' locks."""
    found: set[int] = set()
    for catalog_id in sorted({stored.catalog_id for stored in events}):
        theirs = {at: one for at, one in enumerate(events) if one.catalog_id == catalog_id}
        oldest = min(one.received_micros for one in theirs.values())
        asked = _asked(connection, catalog_id, oldest)
        erased = erased_since(connection, catalog_id, oldest)
        found |= {
            at for at, one in theirs.items() if is_erased(one.actor, one.received_micros, erased)
        }
        if asked:
            whose = owners(connection, catalog_id, (one.actor for one in theirs.values()))
            found |= {
                at
                for at, one in theirs.items()
                if any(fits(purge, one, whose.get(one.actor, "")) for purge in asked)
            }
    return frozenset(found)


def _asked(connection: Connection, catalog_id: str, since_micros: int) -> list[Selection]:
    """Return the purges requested since then that were not cancelled."""
    t = JOBS.c
    statement = sa.select(t.params).where(
        t.kind == PURGE,
        t.catalog_id == catalog_id,
        t.created_time >= since_micros,
        t.state != JobState.CANCELLED,
    )
    rows = connection.execute(statement).scalars()
    return [selection_of(catalog_id, json.loads(params)) for params in rows]
