"""Clicks on recorded answers to searches by photo, in batches. Contents are opaque here."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.consent import PHOTO_VECTORS
from ranker.domain.events import EventType
from ranker.record import consents
from ranker.record.encrypted_columns import photo_of, unseal_vector
from ranker.record.learnable import PROVEN, learnable
from ranker.record.online import led_to
from ranker.record.rows import TableRecord
from ranker.record.tables import ANSWERS, EVENTS

BATCH = 500
"""Answers read at once."""
MOST_ANSWERS = 50_000
"""Newest answers that are read: 50 MB of vectors."""


@dataclass(frozen=True, slots=True)
class ClickedAnswer:
    """A recorded answer to a search by photo, with a product that the shopper clicked."""

    actor: str
    content: bytes
    photo: bytes
    """Vector, float32, little-endian."""
    product_id: str
    time_micros: int
    """Time of the last click on the product, microseconds since 1970 (UTC)."""


class PhotoClickRecord(TableRecord):
    async def clicked(
        self, catalog_id: str, space_version: str, now_micros: int
    ) -> AsyncIterator[Sequence[ClickedAnswer]]:
        """Yield the answers whose photo has a vector in this version of the space, with their
        clicks by the same shopper, in batches, newest first. Shoppers must consent."""
        given = (catalog_id, space_version, now_micros)
        ids = await self._db.read(lambda c: _answers(c, *given))
        for start in range(0, len(ids), BATCH):
            yield await self._db.read(partial(_clicks, given=given, ids=ids[start:][:BATCH]))


def _usable(
    connection: Connection, catalog_id: str, space_version: str, now_micros: int
) -> tuple[sa.ColumnElement[bool], ...]:
    a = ANSWERS.c
    return (
        a.catalog_id == catalog_id,
        a.photo_space == space_version,
        a.expires_micros > now_micros,
        *(consents.permits(connection, catalog_id, one, a.actor) for one in sorted(PHOTO_VECTORS)),
        learnable(connection, catalog_id, ANSWERS),
    )


def _clicked() -> sa.ColumnElement[bool]:
    same = EVENTS.c.actor == ANSWERS.c.actor
    return sa.and_(led_to(), same, EVENTS.c.type == EventType.CLICK, PROVEN)


def _answers(
    connection: Connection, catalog_id: str, space_version: str, now_micros: int
) -> Sequence[str]:
    a = ANSWERS.c
    newest = (
        sa.select(a.answer_id)
        .where(*_usable(connection, catalog_id, space_version, now_micros))
        .where(sa.exists().where(_clicked()))
        .order_by(a.answer_micros.desc(), a.answer_id)
        .limit(MOST_ANSWERS)
    )
    return connection.execute(newest).scalars().all()


def _clicks(
    connection: Connection, given: tuple[str, str, int], ids: Sequence[str]
) -> Sequence[ClickedAnswer]:
    """Read the answers; consent is tested again, since it may have been withdrawn meanwhile."""
    a, e = ANSWERS.c, EVENTS.c
    found = (
        sa.select(a.actor, a.answer_id, e.product_id, sa.func.max(e.time_micros).label("at"))
        .select_from(ANSWERS.join(EVENTS, _clicked()))
        .where(*_usable(connection, *given), a.answer_id.in_(ids))
        .group_by(a.actor, a.answer_id, e.product_id)
        .subquery()
    )
    rows = sa.select(a.actor, a.content, a.photo, found.c.product_id, found.c.at).join_from(
        ANSWERS, found, sa.and_(a.catalog_id == given[0], a.answer_id == found.c.answer_id)
    )
    about = photo_of(given[0])
    return [
        ClickedAnswer(actor, content, unseal_vector(connection, about, photo), product_id, at)
        for actor, content, photo, product_id, at in connection.execute(rows)
    ]
