"""How many jobs may wait or run: who starts them faster than workers end them is refused."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from servicekit.errors import ResourceExhausted

MOST_OPEN = 100
"""Jobs of one kind in one catalog."""
MOST_OPEN_EACH = 50
"""Of these, one caller's: who starts too many leaves room for others."""


class JobsFull(ResourceExhausted, reason="JOBS_FULL"):
    """As many jobs of this kind are open in this catalog as may be, of this caller or in all."""

    retry_after = timedelta(seconds=60)

    def __init__(self, most: int, whose: str) -> None:
        super().__init__(
            f"{most} such jobs{whose} wait or run in this catalog: let some end, or cancel them"
        )


def check_room(
    connection: Connection, table: Table, kind: str, catalog_id: str, caller: str
) -> None:
    """Raises JobsFull when there is no room for one more. `caller`: empty = nobody knows whose."""
    t = table.c
    same = (t.kind == kind, t.catalog_id == catalog_id, t.finished_time == 0)
    count = sa.func.count()
    counts = sa.select(count, count.filter(t.caller == caller)).where(*same)
    total, own = connection.execute(counts).one()
    if total >= MOST_OPEN:
        raise JobsFull(MOST_OPEN, "")
    if caller and own >= MOST_OPEN_EACH:
        raise JobsFull(MOST_OPEN_EACH, " of one caller")
