"""Outcomes of answers by scene and day in SQL. The contents of answer records are not read."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.online import Period, Revenue, SceneDay, causes_of
from ranker.record.online import first, led_to, served
from ranker.record.rows import TableRecord
from ranker.record.tables import ANSWERS, EVENTS

_COUNTED = (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE)
CHUNK = 500
"""Answers whose purchases are read at once."""
_WEIGHT = sa.case((EVENTS.c.type == EventType.IMPRESSION, 1.0 / EVENTS.c.sample_share), else_=0.0)
"""Number of impressions that a stored one represents."""


_Key: TypeAlias = tuple[int, str]
"""Day of the period, from 0, and scene."""


class OnlineDaysRecord(TableRecord):
    """Reader of outcomes by scene and day."""

    async def days(self, catalog_id: str, period: Period) -> list[SceneDay]:
        """Return the period's outcomes, by day and scene: days begin with the period."""
        return await self._db.read(lambda connection: _days(connection, catalog_id, period))


def _days(connection: Connection, catalog_id: str, period: Period) -> list[SceneDay]:
    found: dict[_Key, SceneDay] = {}
    causes = defaultdict[_Key, Counter[int]](Counter)
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
    counts = _counts(catalog_id, period)
    for scene, day, shown, weight, clicked, bought in connection.execute(counts):
        found[day, scene] = replace(
            found[day, scene],
            shown=shown,
            shown_weight=float(weight),
            clicked=int(clicked),
            bought=int(bought),
        )
    brought, unpriced = _money(connection, catalog_id, period)
    for key, known in found.items():
        money = sorted(brought[key].items()) if key in brought else ()
        revenues = tuple(Revenue(code, micros / 1e6) for code, micros in money)
        found[key] = replace(known, revenues=revenues, unpriced=unpriced[key])
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
    due = sa.func.coalesce(clicked, shown) + period.conversion_micros
    return (
        sa.select(
            a.answer_id,
            a.scene,
            _day(period),
            e.product_id,
            sa.func.max(_WEIGHT).label("weight"),
            clicked.label("clicked"),
            first(EventType.PURCHASE).label("bought"),
            due.label("due"),
        )
        .select_from(ANSWERS.join(EVENTS, led_to()))
        .where(*served(catalog_id, period), e.type.in_(_COUNTED))
        .group_by(a.answer_id, a.scene, a.answer_micros, e.product_id)
        .having(shown.is_not(None))
    )


def _counts(catalog_id: str, period: Period) -> sa.Select[Any]:
    """Select sums over the products of `_outcomes`, by scene and day."""
    p = _outcomes(catalog_id, period).subquery().c
    clicked = sa.case((p.clicked.is_not(None), 1), else_=0)
    bought = sa.case((p.bought <= p.due, 1), else_=0)
    sums = (sa.func.count(), *map(sa.func.sum, (p.weight, clicked, bought)))
    return sa.select(p.scene, p.day, *sums).group_by(p.scene, p.day)


def _money(
    connection: Connection, catalog_id: str, period: Period
) -> tuple[Mapping[_Key, Counter[str]], Counter[_Key]]:
    """Return what products that were shown brought, in millionths by currency, and the pieces
    without a price.

    Purchases are few and joined here: a join in SQL compared each of them with all products, where
    the store has no statistics yet.
    """
    bought = _outcomes(catalog_id, period).having(first(EventType.PURCHASE).is_not(None))
    shown = {(row.answer_id, row.product_id): row for row in connection.execute(bought)}
    brought, unpriced = defaultdict[_Key, Counter[str]](Counter), Counter[_Key]()
    for row in _purchases(connection, catalog_id, sorted({answer for answer, _ in shown})):
        product = shown.get((row.answer_id, row.product_id))
        if product is None or row.time_micros > product.due:
            continue
        key = (product.day, product.scene)
        if row.unit_price_micros is None:
            unpriced[key] += row.pieces
        else:
            paid = product.weight * row.unit_price_micros * row.pieces
            brought[key][row.unit_price_currency] += round(paid)
    return brought, unpriced


def _purchases(connection: Connection, catalog_id: str, answer_ids: Sequence[str]) -> Iterator[Any]:
    """Yield the purchases of answers."""
    e = EVENTS.c
    pieces = sa.case((e.quantity > 0, e.quantity), else_=1)
    money = (e.unit_price_micros, e.unit_price_currency)
    for start in range(0, len(answer_ids), CHUNK):
        yield from connection.execute(
            sa.select(
                e.answer_id, e.product_id, e.time_micros, pieces.label("pieces"), *money
            ).where(
                e.catalog_id == catalog_id,
                e.answer_id.in_(answer_ids[start : start + CHUNK]),
                e.answer_id != "",
                e.type == EventType.PURCHASE,
            )
        )


def _day(period: Period) -> sa.Label[int]:
    """Return the number of whole days from the period's start to an answer."""
    return ((ANSWERS.c.answer_micros - period.start_micros) // DAY_MICROS).label("day")
