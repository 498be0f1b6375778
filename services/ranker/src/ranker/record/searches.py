"""Searches of shoppers in SQL."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import Purpose
from ranker.domain.events import EventType
from ranker.domain.searches import MOST_READ, SearchCount, Searched, counted
from ranker.record import consents
from ranker.record.encrypted_columns import query_of, unseal
from ranker.record.rows import TableRecord
from ranker.record.tables import EVENTS


class SearchRecord(TableRecord):
    """Texts of SEARCH events."""

    async def counts(self, catalog_id: str, since_micros: int, floor: int) -> Sequence[SearchCount]:
        """Return the texts that at least `floor` shoppers searched for since then, of those from
        whom the suite may learn. Raise EncryptionKeyMissing.

        Others see these texts word for word. Therefore visitors count only after their first day:
        a page's key creates as many as it likes."""

        def read(connection: Connection) -> list[SearchCount]:
            return counted(lambda: _searches(connection, catalog_id, since_micros), floor)

        return await self._db.read(read)


def _searches(connection: Connection, catalog_id: str, since_micros: int) -> Iterator[Searched]:
    """Yield the newest searches of the period."""
    t = EVENTS.c
    permitted = consents.permits(connection, catalog_id, Purpose.TRAIN, t.actor)
    newest = (
        sa.select(t.query, t.actor)
        .where(
            t.catalog_id == catalog_id,
            t.type == EventType.SEARCH.value,
            t.time_micros >= since_micros,
            t.query != "",
            ~t.unproven,
            ~t.new_visitor,
            permitted,
        )
        .order_by(t.time_micros.desc(), t.sequence.desc())
        .limit(MOST_READ)
    )
    about = query_of(catalog_id)
    for query, actor in connection.execute(newest):
        yield unseal(connection, about, query), actor
