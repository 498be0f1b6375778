"""The order of an answer as its record keeps it, for comparison bit by bit."""

from collections.abc import Sequence
from dataclasses import dataclass

from ranker.domain.arrays import packed
from ranker.domain.events import EventType
from ranker.domain.model import Model
from ranker.serving.ranking.order import RankedOrder


@dataclass(frozen=True, slots=True)
class AnsweredOrder:
    """Everything that the ranker computes of an answer; numbers are bytes, 8 for each product."""

    product_ids: tuple[str, ...]
    raw_scores: bytes
    parts: tuple[tuple[str, bytes], ...]
    collapsed_counts: tuple[int, ...]
    """Near-duplicates that each product stands for; empty: none stands for any."""
    collapsed_product_ids: tuple[str, ...]
    score_ranks: tuple[int, ...]
    """Places by the raw score alone, from 1; empty: each product stands there."""
    moves: tuple[tuple[str, tuple[int, ...]], ...]
    """By cause, by how many places each product was moved."""
    propensities: bytes
    """Empty: 1 for all."""
    scores: bytes
    """Calibrated scores; empty: the model is not calibrated."""
    score_event: EventType | None
    hidden_count: int


def answered_order(ids: Sequence[str], order: RankedOrder, model: Model | None) -> AnsweredOrder:
    """Return the whole order as its record keeps it; `ids` are those of all candidates."""
    ranking, chances = order.ranking, order.chances
    return AnsweredOrder(
        product_ids=tuple(ids[row] for row in ranking.rows.tolist()),
        raw_scores=packed(ranking.raw_scores),
        parts=tuple((name, packed(values)) for name, values in ranking.parts.items()),
        collapsed_counts=tuple(map(len, order.members)),
        collapsed_product_ids=tuple(ids[row] for each in order.members for row in each),
        score_ranks=tuple(order.score_ranks.tolist()) if order.moved else (),
        moves=tuple((cause.value, tuple(steps.tolist())) for cause, steps in order.moves.items()),
        propensities=packed(order.propensities) if (order.propensities != 1).any() else b"",
        scores=b"" if chances is None else packed(chances),
        score_event=model.calibration.event if model and model.calibration else None,
        hidden_count=ranking.hidden_count,
    )
