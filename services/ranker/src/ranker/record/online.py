"""Counts of events and of the outcomes of answers in SQL, and the newest results computed from
them.

The contents of answer records are not read.
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.online import (
    CatalogActivity,
    DayWindow,
    JoinCounts,
    Moments,
    Online,
    OutcomeCounts,
    Period,
    Sums,
    by_arm,
)
from ranker.record.rows import TableRecord, upsert
from ranker.record.tables import ANSWERS, EVENTS, HEALTH, KIND_INTEREST

_COUNTED = (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE, EventType.HIDE)

MOST_PRODUCTS = 20_000
"""Number of products of a window that are counted separately: those with the most shoppers."""


class OnlineRecord(TableRecord):
    async def counts(self, catalog_id: str, period: Period) -> Online:
        """Return the outcome counts of the period's answers, and the number of its events joined to
        an answer."""
        return await self._db.read(lambda connection: _counts(connection, catalog_id, period))

    async def joined(self, catalog_id: str, period: Period) -> JoinCounts:
        """Return the number of the period's events joined to an answer."""
        return await self._db.read(lambda connection: _join(connection, catalog_id, period))

    async def activity(self, catalog_id: str, window: DayWindow) -> CatalogActivity:
        return await self._db.read(lambda connection: _activity(connection, catalog_id, window))

    async def keep(self, catalog_id: str, computed_micros: int, content: str) -> None:
        """Store the report in place of the previous one."""
        row = {"catalog_id": catalog_id, "computed_micros": computed_micros, "content": content}
        await self._db.write(lambda connection: upsert(connection, HEALTH, [row]))

    async def kept(self, catalog_id: str) -> tuple[int, str] | None:
        """Return the last report and its time (microseconds since 1970, UTC); None if there is
        none."""
        t = HEALTH.c
        statement = sa.select(t.computed_micros, t.content).where(t.catalog_id == catalog_id)
        row = await self._db.read(lambda connection: connection.execute(statement).first())
        return None if row is None else (row.computed_micros, row.content)


def _counts(connection: Connection, catalog_id: str, period: Period) -> Online:
    tallies: dict[tuple[str, str, str], OutcomeCounts] = {}
    for version, scene, arms, answers in connection.execute(_answers(catalog_id, period)):
        tallies[version, scene, arms] = OutcomeCounts(version, scene, arms, answers)
    for row in connection.execute(_outcomes(catalog_id, period)).mappings():
        key = (row["model_version"], row["scene"], row["arms"])
        # PostgreSQL returns decimals for sums of integers.
        sums: dict[str, Any] = {name: int(row[name]) for name in _COUNTS}
        sums |= {name: _sums(row, name) for name in _SUMMED}
        tallies[key] = replace(tallies[key], weight_squares=float(row["weight_squares"]), **sums)
    return Online(by_arm(tallies.values()), _join(connection, catalog_id, period))


def _sums(row: sa.RowMapping, name: str) -> Sums:
    weight, squares, products = (float(row[f"{name}_{what}"]) for what in ("w", "ww", "nw"))
    return Sums(int(row[name]), weight, squares, products)


def _join(connection: Connection, catalog_id: str, period: Period) -> JoinCounts:
    tokens, named, joined = connection.execute(_joined(catalog_id, period)).one()
    return JoinCounts(tokens, named or 0, joined or 0)


def _answers(catalog_id: str, period: Period) -> sa.Select[Any]:
    a = ANSWERS.c
    kind = (a.model_version, a.scene, a.arms)
    return sa.select(*kind, sa.func.count()).where(*served(catalog_id, period)).group_by(*kind)


_SUMMED = ("shown", "clicked", "bought", "hidden")
_COUNTS = (
    "shown_answers",
    "shoppers",
    "clicks_without_impression",
    "conversions_without_impression",
)
"""Fields of Tally."""


def _outcomes(catalog_id: str, period: Period) -> sa.Select[Any]:
    """Select the sums over shoppers, with squares and products, by kind of answer."""
    s = _shoppers(catalog_id, period).subquery().c
    names = (*_COUNTS, "weight_squares")
    sums: list[sa.ColumnElement[Any]] = [sa.func.sum(s[name]).label(name) for name in names]
    for name in _SUMMED:
        weight = s[f"{name}_w"]
        sums += [
            sa.func.sum(s[name]).label(name),
            sa.func.sum(weight).label(f"{name}_w"),
            sa.func.sum(weight * weight).label(f"{name}_ww"),
            sa.func.sum(weight * s.shown_w).label(f"{name}_nw"),
        ]
    kind = (s.model_version, s.scene, s.arms)
    return sa.select(*kind, *sums).group_by(*kind)


def _shoppers(catalog_id: str, period: Period) -> sa.Select[Any]:
    """Select the sums over products of the answers, by kind of answer and shopper."""
    p = _products(catalog_id, period).subquery().c
    shown, unseen = p.shown.is_not(None), p.shown.is_(None)
    happened = {
        "shown": shown,
        "clicked": p.clicked.is_not(None),
        "bought": p.bought <= sa.func.coalesce(p.clicked, p.shown) + period.conversion_micros,
        "hidden": p.hidden.is_not(None),
    }

    def count(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((sa.and_(*conditions), 1), else_=0))

    sums: list[sa.ColumnElement[Any]] = [
        sa.func.count(sa.distinct(sa.case((shown, p.answer_id)))).label("shown_answers"),
        sa.func.max(sa.case((shown, 1), else_=0)).label("shoppers"),
        sa.func.sum(p.weight * p.weight).label("weight_squares"),
        count(unseen, happened["clicked"]).label("clicks_without_impression"),
        count(unseen, happened["bought"]).label("conversions_without_impression"),
    ]
    for name, condition in happened.items():
        weight = sa.func.sum(sa.case((condition, p.weight), else_=0.0))
        sums += [count(shown, condition).label(name), weight.label(f"{name}_w")]
    kind = (p.model_version, p.scene, p.arms)
    return sa.select(*kind, *sums).group_by(*kind, p.shopper)


def _products(catalog_id: str, period: Period) -> sa.Select[Any]:
    """Select when each product of the period's answers was first shown, clicked, bought and
    hidden; null: never. `weight` is the impression's, 0 without one. An answer without a
    shopper counts as a shopper of its own."""
    a, e = ANSWERS.c, EVENTS.c
    shopper = sa.case((a.actor == "", a.answer_id), else_=a.actor).label("shopper")
    kind = (a.answer_id, a.model_version, a.scene, a.arms)

    # If impressions are sampled, each stored one represents 1 / share of them.
    weight = sa.case((e.type == EventType.IMPRESSION, 1.0 / e.sample_share), else_=0.0)
    return (
        sa.select(
            *kind,
            shopper,
            first(EventType.IMPRESSION).label("shown"),
            first(EventType.CLICK).label("clicked"),
            first(EventType.PURCHASE).label("bought"),
            first(EventType.HIDE).label("hidden"),
            sa.func.max(weight).label("weight"),
        )
        .select_from(ANSWERS.join(EVENTS, led_to()))
        .where(*served(catalog_id, period), e.type.in_(_COUNTED))
        .group_by(*kind, a.actor, e.product_id)
    )


def _joined(catalog_id: str, period: Period) -> sa.Select[int, Any, int]:
    """Select the number of the period's events with a token, of those that name an answer, and
    of those whose answer is stored."""
    a, e = ANSWERS.c, EVENTS.c
    counts = sa.select(
        sa.func.count(),
        sa.func.sum(sa.case((e.answer_id != "", 1), else_=0)),
        sa.func.count(a.answer_id),
    )
    return counts.select_from(EVENTS.outerjoin(ANSWERS, led_to())).where(
        *_happened(catalog_id, period), e.attribution_token != ""
    )


def led_to() -> sa.ColumnElement[bool]:
    """Return the condition that joins answers to the events they led to; the answer id is
    tested for the index's sake."""
    a, e = ANSWERS.c, EVENTS.c
    same = (e.catalog_id == a.catalog_id, e.answer_id == a.answer_id)
    return sa.and_(*same, e.answer_id != "")


def served(catalog_id: str, period: Period) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of the period's answers."""
    a = ANSWERS.c
    since, before = a.answer_micros >= period.start_micros, a.answer_micros < period.end_micros
    return a.catalog_id == catalog_id, since, before


def first(event_type: EventType) -> sa.ColumnElement[int]:
    """Return the time of the first event of this type; null without any."""
    return sa.func.min(sa.case((EVENTS.c.type == event_type, EVENTS.c.time_micros)))


def _activity(connection: Connection, catalog_id: str, window: DayWindow) -> CatalogActivity:
    happened = _happened(catalog_id, window)
    people, ratings = _people(connection, happened)
    return CatalogActivity(
        types=_types(connection, happened),
        shoppers=people,
        new_shoppers=_new_shoppers(connection, catalog_id, window),
        ratings=ratings,
        products=_interesting(connection, happened),
    )


def _happened(catalog_id: str, window: DayWindow | Period) -> tuple[sa.ColumnElement[bool], ...]:
    e = EVENTS.c
    return (
        e.catalog_id == catalog_id,
        e.type.in_(EventType),  # all types: there is an index by type and time
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


def _new_shoppers(connection: Connection, catalog_id: str, window: DayWindow) -> int:
    """Return the number of shoppers with events in the window and none before."""
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


def _people(
    connection: Connection, happened: tuple[sa.ColumnElement[bool], ...]
) -> tuple[int, Moments]:
    """Return the number of active shoppers, and the moments of their ratings."""
    e = EVENTS.c
    rated = sa.case((e.type == EventType.RATING, e.value))
    sums = (sa.func.count(rated), sa.func.sum(rated), sa.func.sum(rated * rated))
    statement = sa.select(sa.func.count(sa.distinct(e.actor)), *sums).where(*happened)
    people, count, total, squares = connection.execute(statement).one()
    return people, Moments(count, total or 0.0, squares or 0.0)


def _interesting(
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
