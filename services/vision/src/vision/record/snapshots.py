"""The watches of a catalog at one commit, table by table, for a backup.

An archive has no webhooks, whose secrets belong to one installation, and no photos of alerts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql.conditions import on
from vision.record.tables import sequences, watch_alerts, watch_photos, watch_states, watches

T = TypeVar("T")
Row: TypeAlias = dict[str, Any]

ARCHIVED: Final[Mapping[str, tuple[sa.Table, Sequence[str]]]] = {
    "watches": (watches, ("watch_id", "body", "etag", "create_time", "update_time")),
    "watch_states": (watch_states, ("watch_id", "body", "revision")),
    # All other values are in `body`.
    "watch_alerts": (watch_alerts, ("sequence", "watch_id", "create_time", "body")),
    "watch_photos": (watch_photos, ("image_id", "watch_id", "media_type", "width", "height")),
}
"""Tables of an archive in their order, each with the columns that are archived."""
BATCH: Final = 100
"""Rows in memory at once; states have up to 300 kB."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The watches of a catalog at one commit. Valid within its transaction."""

    connection: Connection
    key: str
    commit: int

    def rows(self, name: str) -> Iterator[list[Row]]:
        """Yield the rows of a table by its key, in batches."""
        table, columns = ARCHIVED[name]
        query = sa.select(*(table.c[column] for column in columns)).where(
            on(table, catalog_id=self.key)
        )
        if table is watch_photos:
            query = query.where(table.c.expire_time == 0)
        query = query.order_by(*table.primary_key).execution_options(yield_per=BATCH)
        with self.connection.execute(query) as result:
            for batch in result.mappings().partitions():
                yield [dict(row) for row in batch]


def take_snapshot(connection: Connection, catalog_id: str, take: Callable[[Snapshot], T]) -> T:
    """Return `take` of the catalog at one commit; writes go on."""
    head = sa.select(sequences.c.seq).where(on(sequences, catalog_id=catalog_id))
    return take(Snapshot(connection, catalog_id, connection.execute(head).scalar() or 0))
