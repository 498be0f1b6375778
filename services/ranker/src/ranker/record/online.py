"""What answers led to, counted in SQL: no record of an answer is read for it."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.model import EventType
from ranker.online import Joined, Online, Period, Tally, by_arm
from ranker.record.tables import ANSWERS, EVENTS
from servicekit.sql import Database

_COUNTED = (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE, EventType.HIDE)


class OnlineRecord:
    """Counts of all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def counts(self, catalog_id: str, period: Period) -> Online:
        """What the period's answers led to, and how many of its events found their answer."""
        return await self._db.read(lambda connection: _counts(connection, catalog_id, period))


def _counts(connection: Connection, catalog_id: str, period: Period) -> Online:
    tallies: dict[tuple[str, str, str], Tally] = {}
    for version, scene, arms, answers in connection.execute(_answers(catalog_id, period)):
        tallies[version, scene, arms] = Tally(version, scene, arms, answers)
    for version, scene, arms, *sums in connection.execute(_outcomes(catalog_id, period)):
        known = tallies[version, scene, arms]
        tallies[version, scene, arms] = replace(known, **dict(zip(_OUTCOMES, sums, strict=True)))
    tokens, named, joined = connection.execute(_joined(catalog_id, period)).one()
    return Online(by_arm(tallies.values()), Joined(tokens, named or 0, joined or 0))


def _answers(catalog_id: str, period: Period) -> sa.Select[Any]:
    a = ANSWERS.c
    kind = (a.model_version, a.scene, a.arms)
    return sa.select(*kind, sa.func.count()).where(*_served(catalog_id, period)).group_by(*kind)


_OUTCOMES = (
    "shown_answers",
    "impressions",
    "weight",
    "squares",
    "clicks",
    "click_weight",
    "conversions",
    "conversion_weight",
    "hides",
    "hide_weight",
    "clicks_without_impression",
    "conversions_without_impression",
)
"""Fields of Tally, in the order of `_outcomes`."""


def _outcomes(catalog_id: str, period: Period) -> sa.Select[Any]:
    """By kind of answer, sums over the products of its answers."""
    p = _products(catalog_id, period).subquery().c
    shown, unseen = p.shown.is_not(None), p.shown.is_(None)
    clicked, hidden = p.clicked.is_not(None), p.hidden.is_not(None)
    bought = p.bought <= sa.func.coalesce(p.clicked, p.shown) + period.conversion_micros

    def count(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((sa.and_(*conditions), 1), else_=0))

    def weight(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[float]:
        return sa.func.sum(sa.case((condition, p.weight), else_=0.0))

    kind = (p.model_version, p.scene, p.arms)
    return sa.select(
        *kind,
        sa.func.count(sa.distinct(sa.case((shown, p.answer_id)))),
        count(shown),
        weight(shown),
        sa.func.sum(p.weight * p.weight),
        count(shown, clicked),
        weight(clicked),
        count(shown, bought),
        weight(bought),
        count(shown, hidden),
        weight(hidden),
        count(unseen, clicked),
        count(unseen, bought),
    ).group_by(*kind)


def _products(catalog_id: str, period: Period) -> sa.Select[Any]:
    """When each product of the period's answers was first shown, clicked, bought and hidden; null =
    never. `weight`: of its impression, 0 without one."""
    a, e = ANSWERS.c, EVENTS.c
    kind = (a.answer_id, a.model_version, a.scene, a.arms)

    def first(event_type: EventType, name: str) -> sa.Label[int]:
        return sa.func.min(sa.case((e.type == event_type, e.time_micros))).label(name)

    shown = sa.case((e.type == EventType.IMPRESSION, 1.0), else_=0.0)
    return (
        sa.select(
            *kind,
            first(EventType.IMPRESSION, "shown"),
            first(EventType.CLICK, "clicked"),
            first(EventType.PURCHASE, "bought"),
            first(EventType.HIDE, "hidden"),
            sa.func.max(shown).label("weight"),
        )
        .select_from(ANSWERS.join(EVENTS, _led_to()))
        .where(*_served(catalog_id, period), e.type.in_(_COUNTED))
        .group_by(*kind, e.product_id)
    )


def _joined(catalog_id: str, period: Period) -> sa.Select[int, Any, int]:
    """Events of the period with a token; those that name an answer; those whose answer is kept."""
    a, e = ANSWERS.c, EVENTS.c
    counts = sa.select(
        sa.func.count(),
        sa.func.sum(sa.case((e.answer_id != "", 1), else_=0)),
        sa.func.count(a.answer_id),
    )
    return counts.select_from(EVENTS.outerjoin(ANSWERS, _led_to())).where(
        e.catalog_id == catalog_id,
        e.time_micros >= period.start_micros,
        e.time_micros < period.end_micros,
        e.attribution_token != "",
    )


def _led_to() -> sa.ColumnElement[bool]:
    """Which answer led to which events. That there is one is said for the index's sake."""
    a, e = ANSWERS.c, EVENTS.c
    same = (e.catalog_id == a.catalog_id, e.answer_id == a.answer_id)
    return sa.and_(*same, e.answer_id != "")


def _served(catalog_id: str, period: Period) -> tuple[sa.ColumnElement[bool], ...]:
    a = ANSWERS.c
    served = (a.answer_micros >= period.start_micros, a.answer_micros < period.end_micros)
    return (a.catalog_id == catalog_id, *served)
