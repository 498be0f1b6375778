"""Controls applied to an order that the ranker did not make or that is not collapsed yet. Pure; the
rule is shared."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.ranking.near_duplicates import picked
from sightline_core.answer import AnswerOrder
from sightline_core.candidates import FusedCandidates
from sightline_core.reasons import Move, MoveCause
from sightline_rules import controls


def apply_boosts(
    candidates: FusedCandidates, order: AnswerOrder
) -> tuple[AnswerOrder, frozenset[int]]:
    """Return a whole order with pinned products first and buried ones last, and the rows that
    boosts moved up."""
    if not candidates.controls:
        return order, frozenset()
    rows = _rows(candidates, order)
    line = controls.apply_boosts(rows, order.raw_scores, candidates.controls)
    return _moved(order, rows, line.rows), line.raised


def apply_pins(candidates: FusedCandidates, order: AnswerOrder) -> AnswerOrder:
    """Return a whole, collapsed order with its pinned products at their places."""
    if not candidates.controls:
        return order
    rows = _rows(candidates, order)
    return _moved(order, rows, controls.apply_pins(rows, candidates.controls))


def acting(
    candidates: FusedCandidates, order: AnswerOrder, page_size: int, raised: frozenset[int]
) -> tuple[str, ...]:
    """Return the names of the controls that changed the first page of an order."""
    if not candidates.controls:
        return ()
    shown = _rows(candidates, order)[:page_size]
    return controls.acting(candidates.controls, shown, raised)


def _rows(candidates: FusedCandidates, order: AnswerOrder) -> list[int]:
    places = candidates.places
    return [places[product_id] for product_id in order.product_ids]


def _moved(order: AnswerOrder, rows: Sequence[int], to: Sequence[int]) -> AnswerOrder:
    """Return the order with its rows rearranged, each with the number of places that it moved."""
    at = {row: place for place, row in enumerate(rows)}
    source = [at[row] for row in to]
    ranks = order.score_ranks or range(1, len(rows) + 1)
    whole = picked(replace(order, score_ranks=ranks), source)
    moves = whole.moves or [()] * len(source)
    steps = [before - place for place, before in enumerate(source)]
    return replace(
        whole, moves=[_added(each, step) for each, step in zip(moves, steps, strict=True)]
    )


def _added(moves: Sequence[Move], places: int) -> Sequence[Move]:
    """Return the moves with one by controls added."""
    control = MoveCause.CONTROL
    total = places + sum(move.places for move in moves if move.cause == control)
    others = tuple(move for move in moves if move.cause != control)
    return (*others, Move(cause=control, places=total)) if total else others
