"""Outcomes of answers by scene and day in SQL. The contents of answer records are not read."""

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.online import Period, Revenue, SceneDay, causes_of
from ranker.record.online import first, led_to, served
from ranker.record.rows import TableRecord
from ranker.record.tables import ANSWERS, EVENTS

_COUNTED = (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE)


class OnlineDaysRecord(TableRecord):
    """Reader of outcomes by scene and day."""

    async def days(self, catalog_id: str, period: Period) -> list[SceneDay]:
        """Return the period's outcomes, by day and scene: days begin with the period."""
        return await self._db.read(lambda connection: _days(connection, catalog_id, period))


def _days(connection: Connection, catalog_id: str, period: Period) -> list[SceneDay]:
    found: dict[tuple[int, str], SceneDay] = {}
    causes = defaultdict[tuple[int, str], Counter[int]](Counter)
    for scene, day, answers, empty, degraded_by in connection.execute(_answers(catalog_id, period)):
        key, bits = (day, scene), degraded_by or 0
        known = found.get(key, SceneDay(scene, period.start_micros + day * DAY_MICROS))
        causes[key].update(dict.fromkeys(causes_of(bits), answers))
        found[key] = replace(
            known,
            answers=known.answers + answers,
            empty=known.empty + int(empty),
            degraded=known.degraded + (answers if bits else 0),
            causes=causes[key],
        )
    outcomes = _outcomes(catalog_id, period).subquery()
    for scene, day, shown, weight, clicked, bought in connection.execute(_counts(outcomes.c)):
        found[day, scene] = replace(
            found[day, scene],
            shown=shown,
            shown_weight=float(weight),
            clicked=int(clicked),
            bought=int(bought),
        )
    for scene, day, code, amount, unpriced in connection.execute(_money(catalog_id, outcomes)):
        known = found[day, scene]
        own = (Revenue(code, float(amount)),) if code else ()
        found[day, scene] = replace(
            known, revenues=(*known.revenues, *own), unpriced=known.unpriced + int(unpriced)
        )
    return [found[key] for key in sorted(found)]


def _answers(catalog_id: str, period: Period) -> sa.Select[Any]:
    """Select numbers of answers, and of those without products, by scene, day and causes."""
    a = ANSWERS.c
    each = sa.select(a.scene, _day(period), a.product_count, a.degraded_by)
    e = each.where(*served(catalog_id, period)).subquery().c
    empty = sa.func.sum(sa.case((e.product_count == 0, 1), else_=0))
    kind = (e.scene, e.day)
    chosen = sa.select(*kind, sa.func.count(), empty, e.degraded_by)
    return chosen.group_by(*kind, e.degraded_by)


def _outcomes(catalog_id: str, period: Period) -> sa.Select[Any]:
    """Select when each product that was shown was first clicked and bought, and until when a
    purchase counts; `weight` is its impression's."""
    a, e = ANSWERS.c, EVENTS.c
    shown, clicked = first(EventType.IMPRESSION), first(EventType.CLICK)
    weight = sa.case((e.type == EventType.IMPRESSION, 1.0 / e.sample_share), else_=0.0)
    due = sa.func.coalesce(clicked, shown) + period.conversion_micros
    return (
        sa.select(
            a.answer_id,
            a.scene,
            _day(period),
            e.product_id,
            sa.func.max(weight).label("weight"),
            clicked.label("clicked"),
            first(EventType.PURCHASE).label("bought"),
            due.label("due"),
        )
        .select_from(ANSWERS.join(EVENTS, led_to()))
        .where(*served(catalog_id, period), e.type.in_(_COUNTED))
        .group_by(a.answer_id, a.scene, a.answer_micros, e.product_id)
        .having(shown.is_not(None))
    )


def _counts(p: Any) -> sa.Select[Any]:
    """Select sums over the products of `_outcomes`, by scene and day."""
    clicked = sa.case((p.clicked.is_not(None), 1), else_=0)
    bought = sa.case((p.bought <= p.due, 1), else_=0)
    sums = (sa.func.count(), *map(sa.func.sum, (p.weight, clicked, bought)))
    return sa.select(p.scene, p.day, *sums).group_by(p.scene, p.day)


def _money(catalog_id: str, outcomes: sa.Subquery) -> sa.Select[Any]:
    """Select what the products of `_outcomes` brought, by scene, day and currency, and the pieces
    without a price."""
    p, events = outcomes.c, EVENTS.alias()
    e = events.c
    pieces = sa.case((e.quantity > 0, e.quantity), else_=1)
    price = sa.cast(e.unit_price_micros, sa.Double) / 1e6
    unpriced = e.unit_price_micros.is_(None)
    bought = sa.and_(
        e.catalog_id == catalog_id,
        e.answer_id == p.answer_id,
        e.answer_id != "",
        e.product_id == p.product_id,
        e.type == EventType.PURCHASE,
        e.time_micros <= p.due,
    )
    code = sa.case((unpriced, ""), else_=e.unit_price_currency).label("code")
    each = sa.select(
        p.scene,
        p.day,
        code,
        sa.case((unpriced, 0.0), else_=p.weight * price * pieces).label("amount"),
        sa.case((unpriced, pieces), else_=0).label("unpriced"),
    )
    b = each.select_from(outcomes.join(events, bought)).subquery().c
    kind = (b.scene, b.day, b.code)
    chosen = sa.select(*kind, sa.func.sum(b.amount), sa.func.sum(b.unpriced))
    return chosen.group_by(*kind).order_by(*kind)


def _day(period: Period) -> sa.Label[int]:
    """Return the number of whole days from the period's start to an answer."""
    return ((ANSWERS.c.answer_micros - period.start_micros) // DAY_MICROS).label("day")
