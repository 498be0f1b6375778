"""The order of an answer in the form of its record, for comparison bit by bit."""

from collections.abc import Sequence
from dataclasses import dataclass

from ranker.domain.arrays import packed
from ranker.domain.events import EventType
from ranker.domain.model import Model
from ranker.serving.ranking.order import RankedOrder


@dataclass(frozen=True, slots=True)
class AnsweredOrder:
    """All results that the ranker computes for an answer; numbers are packed, 8 bytes for each
    product."""

    product_ids: tuple[str, ...]
    raw_scores: bytes
    parts: tuple[tuple[str, bytes], ...]
    collapsed_counts: tuple[int, ...]
    """Near-duplicates collapsed into each product; empty if none collapsed."""
    collapsed_product_ids: tuple[str, ...]
    score_ranks: tuple[int, ...]
    """Positions by the raw score alone, from 1; empty if equal to the order."""
    moves: tuple[tuple[str, tuple[int, ...]], ...]
    """Number of positions by which each product was moved, by cause."""
    propensities: bytes
    """Empty if 1 for all products."""
    scores: bytes
    """Calibrated scores; empty if the model is not calibrated."""
    score_event: EventType | None
    hidden_count: int


def answered_order(ids: Sequence[str], order: RankedOrder, model: Model | None) -> AnsweredOrder:
    """Convert the whole order to the form of its record; `ids` are those of all candidates."""
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
