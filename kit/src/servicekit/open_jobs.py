"""How many jobs may wait or run: who starts them faster than workers end them is refused."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from servicekit.errors import ResourceExhausted

MOST_OPEN = 100
"""Jobs of one kind in one catalog."""


class JobsFull(ResourceExhausted, reason="JOBS_FULL"):
    """As many jobs of this kind are open in this catalog as may be."""

    message = f"{MOST_OPEN} such jobs wait or run in this catalog: let some end, or cancel them"
    retry_after = timedelta(seconds=60)


def check_room(connection: Connection, table: Table, kind: str, catalog_id: str) -> None:
    """Raises JobsFull when there is no room for one more."""
    t = table.c
    same = (t.kind == kind, t.catalog_id == catalog_id, t.finished_time == 0)
    if (connection.scalar(sa.select(sa.func.count()).where(*same)) or 0) >= MOST_OPEN:
        raise JobsFull
