"""Recorded answers with the outcomes of their products, in batches. Contents are opaque here."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.events import EventType
from ranker.domain.feedback import ShownOutcome
from ranker.domain.online import Period
from ranker.record.learnable import learnable
from ranker.record.online import first, led_to, served
from ranker.record.rows import TableRecord
from ranker.record.tables import ANSWERS, EVENTS

BATCH = 100
"""Answers read at once: with 2,000 candidates each, about 50 MB."""
_COUNTED = (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A recorded answer with the outcomes of its products."""

    answer_id: str
    answer_micros: int
    model_version: str
    content: bytes
    """The record as AnswerService received it."""
    outcomes: dict[str, ShownOutcome]
    """By product."""


class FeedbackRecord(TableRecord):
    async def answers(
        self, catalog_id: str, period: Period, limit: int
    ) -> AsyncIterator[tuple[KeptAnswer, ...]]:
        """Yield at most `limit` of the period's newest answers with impressions, newest first,
        in batches: a record grows with its candidates."""
        permitted = await self._db.read(lambda c: learnable(c, catalog_id, EVENTS))
        ids = await self._db.read(lambda c: _shown(c, catalog_id, period, permitted, limit))
        for start in range(0, len(ids), BATCH):
            some = ids[start:][:BATCH]
            yield await self._db.read(partial(_read, about=(catalog_id, period, permitted, some)))


_Asked: TypeAlias = tuple[str, Period, sa.ColumnElement[bool], Sequence[str]]
"""Catalog, period, the condition that one may learn from an event, answers."""


def _shown(
    connection: Connection,
    catalog_id: str,
    period: Period,
    permitted: sa.ColumnElement[bool],
    limit: int,
) -> Sequence[str]:
    a = ANSWERS.c
    shown = sa.exists().where(led_to(), EVENTS.c.type == EventType.IMPRESSION, permitted)
    statement = (
        sa.select(a.answer_id)
        .where(*served(catalog_id, period), shown)
        .order_by(a.answer_micros.desc(), a.answer_id.desc())
        .limit(limit)
    )
    return connection.execute(statement).scalars().all()


def _read(connection: Connection, about: _Asked) -> tuple[KeptAnswer, ...]:
    a, (catalog_id, period, permitted, ids) = ANSWERS.c, about
    outcomes: defaultdict[str, dict[str, ShownOutcome]] = defaultdict(dict)
    happened = _outcomes(catalog_id, period, ids).where(permitted)
    for answer_id, product_id, *rest in connection.execute(happened):
        outcomes[answer_id][product_id] = _outcome(*rest)
    statement = (
        sa.select(a.answer_id, a.answer_micros, a.model_version, a.content)
        .where(a.catalog_id == catalog_id, a.answer_id.in_(ids))
        .order_by(a.answer_micros.desc(), a.answer_id.desc())
    )
    return tuple(
        KeptAnswer(*row, outcomes=outcomes[row.answer_id]) for row in connection.execute(statement)
    )


def _outcomes(catalog_id: str, period: Period, ids: Sequence[str]) -> sa.Select[Any]:
    """Select by answer and product: the impression's weight, the first reported position, whether
    it was bought within the window, and the times of the first impression, click and purchase."""
    e = EVENTS.c
    shown, clicked, bought = (
        first(one) for one in (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE)
    )
    in_time = sa.func.coalesce(clicked, shown) + period.conversion_micros
    return (
        sa.select(
            e.answer_id,
            e.product_id,
            sa.func.max(sa.case((e.type == EventType.IMPRESSION, 1.0 / e.sample_share))),
            sa.func.min(sa.case((e.position > 0, e.position))),
            bought <= in_time,
            *(shown, clicked, bought),
        )
        .where(
            e.catalog_id == catalog_id,
            e.answer_id.in_(ids),
            e.answer_id != "",
            e.type.in_(_COUNTED),
        )
        .group_by(e.answer_id, e.product_id)
    )


def _outcome(
    weight: float | None, position: int | None, in_time: bool | None, *times: int | None
) -> ShownOutcome:
    shown, clicked, bought = times
    return ShownOutcome(
        shown=weight is not None,
        weight=weight or 0.0,
        position=position or 0,
        clicked=clicked is not None,
        bought=bool(in_time),
        shown_micros=shown or 0,
        clicked_micros=clicked or 0,
        bought_micros=bought or 0,
    )
