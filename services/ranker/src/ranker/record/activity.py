"""What people did in some days, counted in SQL, and what was computed of it last."""

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.activity import Activity, Sample, Window
from ranker.domain.events import DAY_MICROS, EventType
from ranker.record.rows import upsert
from ranker.record.tables import EVENTS, HEALTH, KIND_INTEREST
from servicekit.sql import Database

MOST_PRODUCTS = 20_000
"""Products of a window that are counted by themselves: those that most people meant."""


class ActivityRecord:
    """Activity of all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def activity(self, catalog_id: str, window: Window) -> Activity:
        """What people did in the window."""
        return await self._db.read(lambda connection: _activity(connection, catalog_id, window))

    async def keep(self, catalog_id: str, computed_micros: int, content: str) -> None:
        """Keep what was computed, in the place of what was before."""
        row = {"catalog_id": catalog_id, "computed_micros": computed_micros, "content": content}
        await self._db.write(lambda connection: upsert(connection, HEALTH, [row]))

    async def kept(self, catalog_id: str) -> tuple[int, str] | None:
        """When it was computed last (microseconds since 1970, UTC) and what; None = never."""
        t = HEALTH.c
        statement = sa.select(t.computed_micros, t.content).where(t.catalog_id == catalog_id)
        row = await self._db.read(lambda connection: connection.execute(statement).first())
        return None if row is None else (row.computed_micros, row.content)


def _activity(connection: Connection, catalog_id: str, window: Window) -> Activity:
    happened = _happened(catalog_id, window)
    return Activity(
        types=_types(connection, happened),
        shoppers=_shoppers(connection, happened),
        new_shoppers=_new_shoppers(connection, catalog_id, window),
        ratings=_ratings(connection, happened),
        products=_products(connection, happened),
    )


def _happened(catalog_id: str, window: Window) -> tuple[sa.ColumnElement[bool], ...]:
    e = EVENTS.c
    return (
        e.catalog_id == catalog_id,
        e.type.in_(EventType),  # all of them: an index by type and time is there
        e.time_micros >= window.start_micros,
        e.time_micros < window.end_micros,
    )


def _types(
    connection: Connection, happened: tuple[sa.ColumnElement[bool], ...]
) -> dict[tuple[int, str], int]:
    e = EVENTS.c
    day = e.time_micros // DAY_MICROS
    statement = sa.select(day, e.type, sa.func.count()).where(*happened).group_by(day, e.type)
    return {(at, kind): count for at, kind, count in connection.execute(statement)}


def _shoppers(connection: Connection, happened: tuple[sa.ColumnElement[bool], ...]) -> int:
    statement = sa.select(sa.func.count(sa.distinct(EVENTS.c.actor))).where(*happened)
    return connection.execute(statement).scalar() or 0


def _new_shoppers(connection: Connection, catalog_id: str, window: Window) -> int:
    """Those who did something in the window and nothing before it."""
    e, before = EVENTS.c, EVENTS.alias().c
    earlier = sa.exists().where(
        before.catalog_id == catalog_id,
        before.actor == e.actor,
        before.time_micros < window.start_micros,
    )
    statement = sa.select(sa.func.count(sa.distinct(e.actor))).where(
        *_happened(catalog_id, window), ~earlier
    )
    return connection.execute(statement).scalar() or 0


def _ratings(connection: Connection, happened: tuple[sa.ColumnElement[bool], ...]) -> Sample:
    e = EVENTS.c
    statement = sa.select(
        sa.func.count(e.value), sa.func.sum(e.value), sa.func.sum(e.value * e.value)
    ).where(*happened, e.type == EventType.RATING)
    count, total, squares = connection.execute(statement).one()
    return Sample(count, total or 0.0, squares or 0.0)


def _products(
    connection: Connection, happened: tuple[sa.ColumnElement[bool], ...]
) -> dict[str, int]:
    e = EVENTS.c
    people = sa.func.count(sa.distinct(e.actor))
    statement = (
        sa.select(e.product_id, people)
        .where(*happened, e.kind == KIND_INTEREST)
        .group_by(e.product_id)
        .order_by(people.desc(), e.product_id)
        .limit(MOST_PRODUCTS)
    )
    return {row.product_id: int(row[1]) for row in connection.execute(statement)}
