"""Limits of open jobs: callers that start them faster than workers finish them are rejected."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from servicekit.errors import ResourceExhausted

MOST_OPEN = 100
"""Open jobs of one kind in one catalog."""
MOST_OPEN_EACH = 50
"""Open jobs of one caller among these."""


class JobsFull(ResourceExhausted, reason="JOBS_FULL"):
    """The limit of open jobs of this kind in this catalog is reached, for this caller or in all."""

    retry_after = timedelta(seconds=60)

    def __init__(self, most: int, whose: str) -> None:
        super().__init__(
            f"{most} such jobs{whose} wait or run in this catalog: let some end, or cancel them"
        )


def check_room(
    connection: Connection, table: Table, kind: str, catalog_id: str, caller: str
) -> None:
    """Raise JobsFull when one more job would exceed a limit. `caller`: empty = unauthenticated."""
    t = table.c
    same = (t.kind == kind, t.catalog_id == catalog_id, t.finished_time == 0)
    count = sa.func.count()
    counts = sa.select(count, count.filter(t.caller == caller)).where(*same)
    total, own = connection.execute(counts).one()
    if total >= MOST_OPEN:
        raise JobsFull(MOST_OPEN, "")
    if caller and own >= MOST_OPEN_EACH:
        raise JobsFull(MOST_OPEN_EACH, " of one caller")
