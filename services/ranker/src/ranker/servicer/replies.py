"""Conversion of a request's policy to values, and of results to lent values and to messages."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ranker.domain.model import Model
from ranker.servicer.candidates import goal_of
from ranker.servicer.events import NUMBERS
from ranker.servicer.messages import message_of
from ranker.servicer.requests import refuse
from ranker.serving.rank_products import RankedProducts, RankQuery
from ranker.serving.ranking.breakdown import Contributions
from ranker.serving.ranking.diversity import DEFAULT, RankPolicy
from ranker.serving.ranking.objective import ObjectiveGoal
from ranker.serving.ranking.order import RankedOrder
from ranker.serving.request_model import RequestModel
from servicekit.rpc.requests import duration
from servicekit.telemetry import Stage, Stages
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_core.answer import AnswerOrder
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.ranking import Ranked
from sightline_core.reasons import Move, Reason
from sightline_core.score_notes import OBJECTIVE, NoteCause, ScoreNote
from sightline_rules.categories import MAX_LEVELS

MOST_WINDOW = 500
MOST_PLACES = 200
MOST_EXPLORED = 20
MOST_DAYS = 3650.0
POLICIES = 256
"""Policies that stay read: those of scenes."""


def policy_of(message: pb.Diversity) -> RankPolicy:
    """Return the requested policy. Raise RequestInvalid."""
    return _policy(message.SerializeToString())


@lru_cache(POLICIES)
def _policy(data: bytes) -> RankPolicy:
    message = pb.Diversity.FromString(data)
    refuse(_problems(message), "diversity.")
    caps = tuple((one.level, one.cap) for one in message.category_caps)
    return read_policy(message, caps, goal_of(message.objective), message.objective_strength)


def read_policy(
    rules: Any, caps: tuple[tuple[int, int], ...], goal: ObjectiveGoal, strength: float
) -> RankPolicy:
    """Return the policy of rules or of their message."""
    return RankPolicy(
        diversity=rules.diversity,
        calibrated=rules.calibrated,
        popularity=rules.popularity,
        window=rules.window or DEFAULT.window,
        cap_places=rules.cap_places or DEFAULT.cap_places,
        brand_cap=rules.brand_cap,
        category_caps=caps,
        exploration_places=tuple(rules.exploration_places),
        exploration_days=rules.exploration_days or DEFAULT.exploration_days,
        objective=goal,
        objective_strength=strength,
    )


def _problems(message: pb.Diversity) -> Iterable[tuple[str, str]]:
    for name, value, least, most in (
        ("diversity", message.diversity, 0, 1),
        ("calibrated", message.calibrated, 0, 1),
        ("popularity", message.popularity, 0, 1),
        ("objective_strength", message.objective_strength, 0, 1),
        ("window", message.window or DEFAULT.window, 2, MOST_WINDOW),
        ("cap_places", message.cap_places or DEFAULT.cap_places, 1, MOST_PLACES),
        ("brand_cap", message.brand_cap, 0, MOST_PLACES),
        ("exploration_days", message.exploration_days, 0, MOST_DAYS),
    ):
        if not (math.isfinite(value) and least <= value <= most):
            yield name, f"is not within {least} and {most:g}"
    for place, one in enumerate(message.category_caps):
        if not (1 <= one.level <= MAX_LEVELS and 1 <= one.cap <= MOST_PLACES):
            problem = f"has no level of 1 to {MAX_LEVELS} or no cap of 1 to {MOST_PLACES}"
            yield f"category_caps[{place}]", problem
    levels = [one.level for one in message.category_caps]
    if len(set(levels)) < len(levels):
        yield "category_caps", "repeats a level"
    yield from _exploration_problems(message.exploration_places)


def _exploration_problems(places: Sequence[int]) -> Iterable[tuple[str, str]]:
    if len(places) > MOST_EXPLORED:
        yield "exploration_places", f"has more than {MOST_EXPLORED} entries"
    if list(places) != sorted(set(places)) or not all(2 <= one <= MOST_PLACES for one in places):
        problem = f"is not an increasing list of positions within 2 and {MOST_PLACES}"
        yield "exploration_places", problem


def ranked_of(
    query: RankQuery,
    ranked: RankedProducts,
    lost: tuple[Degradation, ...],
    image_ids: Sequence[str] = (),
    branches: Sequence[int] = (),
    *,
    work: float | None = None,
    recorded: bool = False,
) -> Ranked:
    """Return the first `top_k` products of the order, with their details. `image_ids`, `branches`:
    photo and branches of each candidate; empty if unknown."""
    ids, first, model = query.candidates.ids, ranked.order.first(query.top_k), ranked.state.model
    ranking, rows = first.ranking, first.ranking.rows.tolist()
    arranged = bool(first.moves) or first.drawn
    expected = ranked.expected if query.with_breakdown else None
    hidden, merits = ranked.state.history.hidden, ranked.control_merits
    order = AnswerOrder(
        product_ids=[*map(ids.__getitem__, rows)],
        raw_scores=ranking.raw_scores.tolist(),
        parts=[*zip(ranking.parts, np.array([*ranking.parts.values()]).tolist(), strict=True)],
        image_ids=[*map(image_ids.__getitem__, rows)] if image_ids else (),
        branches=[*map(branches.__getitem__, rows)] if branches else (),
        collapsed=[[ids[row] for row in members] for members in first.members],
        score_ranks=first.score_ranks.tolist() if arranged or first.moved else (),
        moves=_moves(first) if arranged else (),
        chances=() if first.chances is None else first.chances.tolist(),
        event=score_event(model),
        reasons=[*map(tuple, ranked.reasons)],
        contributions=split(ranked.contributions),
        expected_values=() if expected is None else expected[ranking.rows].tolist(),
        total=ranked.order.score_ranks.size,
    )
    return Ranked(
        order=order,
        hidden_count=ranking.hidden_count,
        model_version=model.version if model else "",
        degradations=lost,
        work=work,
        seen_count=ranking.seen_count,
        collapsed_count=first.collapsed_count,
        recorded=recorded,
        hidden_pins=tuple(each for each in ranked.unplaced if each in hidden),
        seen_pins=tuple(each for each in ranked.unplaced if each not in hidden),
        acted=tuple(ranked.acting_controls),
        merits={each.name: merit for each, merit in zip(query.controls, merits, strict=True)}
        if merits
        else {},
        notes=[
            ScoreNote(OBJECTIVE, NoteCause[each.cause.name], each.count) for each in ranked.notes
        ],
        propensities=first.propensities.tolist() if arranged else (),
        history_changed=ranked.state.history_changed,
    )


def _moves(order: RankedOrder) -> Sequence[tuple[Move, ...]]:
    found: list[tuple[Move, ...]] = [()] * order.score_ranks.size
    for cause, steps in order.moves.items():
        number = cause_number(cause)
        for place, step in enumerate(steps.tolist()):
            if step:
                found[place] += (_move(number, step),)
    return found


_move = lru_cache(4_096)(Move)
"""Returns a move; those of an answer are few different ones."""


def split(
    parts: Mapping[str, Sequence[Contributions]],
) -> Mapping[str, Sequence[Contributions]]:
    """Return the contributions to the parts that can be split."""
    return {name: given for name, given in parts.items() if given}


def cause_number(cause: str) -> answer_pb2.Move.Cause.ValueType:
    return answer_pb2.Move.Cause.Value(f"CAUSE_{cause}")


def cause_name(number: answer_pb2.Move.Cause.ValueType) -> str:
    return answer_pb2.Move.Cause.Name(number).removeprefix("CAUSE_")


def score_event(model: Model | None) -> event_pb2.EventType.ValueType:
    """Return the event whose probability the calibrated scores give."""
    if model is None or model.calibration is None:
        return event_pb2.EVENT_TYPE_UNSPECIFIED
    return NUMBERS[model.calibration.event]


def lost_of(stage: str, served: RequestModel) -> tuple[Degradation, ...]:
    """Return the degradations if another model than the intended one answers; empty if none."""
    if not served.substitute:
        return ()
    return (Degradation(stage, DegradationCause.MODEL_NOT_READY, served.substitute),)


def lost_messages(lost: Iterable[Degradation]) -> list[answer_pb2.Degradation]:
    return [message_of(answer_pb2.Degradation, each) for each in lost]


def ranked_message(found: Ranked, stages: Stages) -> pb.RankResponse:
    """Return the message of a ranking that took these stages."""
    order: Any = found.order
    return pb.RankResponse(
        product_ids=order.product_ids,
        raw_scores=order.raw_scores,
        parts=part_columns(order.parts, order.contributions),
        reasons=reason_lists(order.reasons),
        hidden_count=found.hidden_count,
        seen_count=found.seen_count,
        model_version=found.model_version,
        degradations=lost_messages(found.degradations),
        stage_timings=_timings(stages.finished),
        score_ranks=order.score_ranks,
        moves=[
            pb.MoveList(moves=[_shared(answer_pb2.Move, move) for move in moves])
            for moves in order.moves
        ],
        propensities=found.propensities,
        history_changed=found.history_changed,
        scores=order.chances,
        score_event=order.event,
        collapsed=[pb.CollapsedProducts(product_ids=ids) for ids in order.collapsed],
        total_count=order.total,
        collapsed_count=found.collapsed_count,
        recorded=found.recorded,
        hidden_product_ids=found.hidden_pins,
        seen_product_ids=found.seen_pins,
        acted_controls=found.acted,
        control_merits=found.merits.values(),
        expected_values=order.expected_values,
        score_notes=[
            message_of(answer_pb2.ScoreNote, note, product_count=note.count) for note in found.notes
        ],
    )


_shared: Any = lru_cache(4_096)(message_of)
"""Returns a message that is shared and must not be changed; those of an answer are few different
ones."""


def part_columns(
    parts: Iterable[tuple[str, Any]], made_of: Mapping[str, Sequence[Contributions]]
) -> Any:
    """Return what protobuf makes parts of scores of, with the contributions to each."""
    return [
        {"name": name, "values": values, "features": [*map(_features, made_of.get(name, ()))]}
        for name, values in parts
    ]


def _features(given: Contributions) -> dict[str, Any]:
    return {"features": [{"name": name, "value": value} for name, value in given]}


def reason_lists(reasons: Iterable[Sequence[Reason]]) -> Any:
    """Return what protobuf makes the reasons of products of."""
    return [{"reasons": [*map(_reason, each)]} for each in reasons]


@lru_cache(4_096)
def _reason(reason: Reason) -> dict[str, Any]:
    parameters = [{"name": name, "value": value} for name, value in reason.parameters]
    return {"code": reason.code, "text": reason.text, "parameters": parameters}


def _timings(stages: Iterable[Stage]) -> Any:
    """Return what protobuf makes stage timings of."""
    found = [(each.name, duration(each.start), duration(each.duration)) for each in stages]
    return [{"stage": n, "start": start, "total": d, "work": d} for n, start, d in found]
