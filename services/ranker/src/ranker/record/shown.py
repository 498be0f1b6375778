"""Products of answers as they were shown, and groups of products, in SQL."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.events import EventType
from ranker.domain.exposure import ShownProduct
from ranker.domain.online import Period
from ranker.record.encrypted_columns import unseal, value_of
from ranker.record.online import first, led_to, served
from ranker.record.rows import TableRecord
from ranker.record.tables import (
    ANSWERS,
    ATTRIBUTES,
    EVENTS,
    POPULARITY,
    PRODUCT_FIRSTS,
)

MOST_ANSWERS = 20_000
MOST_RECORDS = 2_000
"""Recorded answers that are read if there are no impressions: a record holds all candidates."""
CHUNK = 500
DECILES = 10
_COUNTED = (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE)


class ShownRecord(TableRecord):
    async def impressions(
        self, catalog_id: str, scene: str, period: Period
    ) -> Sequence[ShownProduct]:
        """Return the products of the period's newest answers that were shown at a known place."""

        def read(connection: Connection) -> Sequence[ShownProduct]:
            ids = connection.execute(_newest(catalog_id, scene, period)).scalars().all()
            return [one for some in _chunks(ids) for one in _shown(connection, catalog_id, some)]

        return await self._db.read(read)

    async def records(
        self, catalog_id: str, scene: str, period: Period
    ) -> Sequence[tuple[str, str, bytes]]:
        """Return id, shopper and content of the period's newest recorded answers."""
        a = ANSWERS.c
        newest = (
            sa.select(a.answer_id, a.actor, a.content)
            .where(*served(catalog_id, period), *_of_scene(scene))
            .order_by(a.answer_micros.desc(), a.answer_id)
            .limit(MOST_RECORDS)
        )
        rows = await self._db.read(lambda connection: connection.execute(newest).all())
        return [(row[0], row[1], row[2]) for row in rows]

    async def values(self, catalog_id: str, key: str) -> Mapping[str, str]:
        """Return the value of an attribute by shopper."""
        t, about = ATTRIBUTES.c, value_of(catalog_id)
        given = sa.select(t.actor, t.value).where(t.catalog_id == catalog_id, t.key == key)

        def read(connection: Connection) -> Mapping[str, str]:
            rows = connection.execute(given)
            return {actor: unseal(connection, about, value) for actor, value in rows}

        return await self._db.read(read)

    async def deciles(self, catalog_id: str) -> Mapping[str, str]:
        """Return the decile of popularity of each counted product, 1 = the most popular."""
        t = POPULARITY.c
        ordered = (
            sa.select(t.product_id)
            .where(t.catalog_id == catalog_id)
            .order_by(t.log_count.desc(), t.product_id)
        )
        ids = await self._db.read(lambda c: c.execute(ordered).scalars().all())
        return {item: f"{place * DECILES // len(ids) + 1}" for place, item in enumerate(ids)}

    async def newcomers(self, catalog_id: str, since_micros: int) -> Mapping[str, str]:
        """Return whether each product had its first event since then: "new" or "old"."""
        t, gone = EVENTS.c, PRODUCT_FIRSTS.c
        stored = (
            sa.select(t.product_id, sa.func.min(t.time_micros))
            .where(t.catalog_id == catalog_id, t.product_id != "")
            .group_by(t.product_id)
        )
        deleted = sa.select(gone.product_id, gone.time_micros).where(gone.catalog_id == catalog_id)

        def read(connection: Connection) -> dict[str, int]:
            # Those that are deleted were the earlier ones.
            each = (*connection.execute(stored), *connection.execute(deleted))
            return {product_id: time for product_id, time in each}  # noqa: C416

        firsts = await self._db.read(read)
        return {item: "new" if time >= since_micros else "old" for item, time in firsts.items()}


def _of_scene(scene: str) -> Sequence[sa.ColumnElement[bool]]:
    return (ANSWERS.c.scene == scene,) if scene else ()


def _newest(catalog_id: str, scene: str, period: Period) -> sa.Select[str]:
    a, e = ANSWERS.c, EVENTS.c
    seen = sa.exists().where(led_to(), e.type == EventType.IMPRESSION, e.position > 0)
    return (
        sa.select(a.answer_id)
        .where(*served(catalog_id, period), *_of_scene(scene), seen)
        .order_by(a.answer_micros.desc(), a.answer_id)
        .limit(MOST_ANSWERS)
    )


def _shown(connection: Connection, catalog_id: str, ids: Sequence[str]) -> Iterator[ShownProduct]:
    e = EVENTS.c
    impression = e.type == EventType.IMPRESSION
    rows = connection.execute(
        sa.select(
            e.answer_id,
            sa.func.max(e.actor),
            e.product_id,
            sa.func.min(sa.case((sa.and_(impression, e.position > 0), e.position))),
            sa.func.max(sa.case((impression, 1.0 / e.sample_share))),
            first(EventType.CLICK).is_not(None),
            first(EventType.PURCHASE).is_not(None),
        )
        .where(
            e.catalog_id == catalog_id,
            e.answer_id.in_(ids),
            e.answer_id != "",
            e.type.in_(_COUNTED),
        )
        .group_by(e.answer_id, e.product_id)
    )
    for answer_id, actor, product_id, place, weight, clicked, bought in rows:
        if place is not None:
            happened = bool(clicked) or bool(bought)
            yield ShownProduct(answer_id, actor, product_id, place, weight, happened)


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
