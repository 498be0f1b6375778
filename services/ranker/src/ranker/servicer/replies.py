"""Conversion of a request's policy to values, and of a ranked order to messages."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.duration_pb2 import Duration

from ranker.domain.arrays import Doubles
from ranker.domain.model import Model
from ranker.servicer.candidates import goal_of
from ranker.servicer.events import NUMBERS
from ranker.servicer.messages import doubles, part_columns
from ranker.servicer.requests import refuse
from ranker.serving.rank_products import RankedProducts, RankQuery
from ranker.serving.ranking.breakdown import Contributions
from ranker.serving.ranking.diversity import DEFAULT, RankPolicy
from ranker.serving.ranking.objective import OBJECTIVE, ScoreNote
from ranker.serving.ranking.order import RankedOrder
from ranker.serving.request_model import RequestModel
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_core.reasons import Reason
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
    return RankPolicy(
        diversity=message.diversity,
        calibrated=message.calibrated,
        popularity=message.popularity,
        window=message.window or DEFAULT.window,
        cap_places=message.cap_places or DEFAULT.cap_places,
        brand_cap=message.brand_cap,
        category_caps=tuple((one.level, one.cap) for one in message.category_caps),
        exploration_places=tuple(message.exploration_places),
        exploration_days=message.exploration_days or DEFAULT.exploration_days,
        objective=goal_of(message.objective),
        objective_strength=message.objective_strength,
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


def add_moves(answer: pb.RankResponse, order: RankedOrder) -> None:
    """Add the products' moves, unless the order is that of the scores and no random draw could
    change it."""
    if order.moves or order.drawn or order.moved:
        answer.score_ranks.extend(order.score_ranks.tolist())
    if order.moves or order.drawn:
        columns = [(cause_number(cause), steps.tolist()) for cause, steps in order.moves.items()]
        for place in range(len(order)):
            moved = answer.moves.add().moves
            for cause, steps in columns:
                if steps[place]:
                    moved.add(cause=cause, places=steps[place])
        answer.propensities.extend(order.propensities.tolist())


def cause_number(cause: str) -> answer_pb2.Move.Cause.ValueType:
    return answer_pb2.Move.Cause.Value(f"CAUSE_{cause}")


def cause_name(number: answer_pb2.Move.Cause.ValueType) -> str:
    return answer_pb2.Move.Cause.Name(number).removeprefix("CAUSE_")


def ranked_message(query: RankQuery, ranked: RankedProducts) -> pb.RankResponse:
    """Return the first `top_k` products of the order as a message, with their details."""
    order, ids, model = ranked.order, query.candidates.ids, ranked.state.model
    first = order.first(query.top_k)
    ranking = first.ranking
    answer = pb.RankResponse(
        product_ids=[ids[row] for row in ranking.rows.tolist()],
        hidden_count=ranking.hidden_count,
        seen_count=ranking.seen_count,
        model_version=model.version if model else "",
        score_event=score_event(model),
        total_count=len(order),
        collapsed_count=order.collapsed_count,
        collapsed=[
            pb.CollapsedProducts(product_ids=[ids[row] for row in rows]) for rows in first.members
        ],
        acted_controls=ranked.acting_controls,
        control_merits=ranked.control_merits,
        reasons=reason_lists(ranked.reasons),
    )
    for item in ranked.unplaced:
        hidden = item in ranked.state.history.hidden
        (answer.hidden_product_ids if hidden else answer.seen_product_ids).append(item)
    add_moves(answer, first)
    answer.MergeFromString(doubles(answer.RAW_SCORES_FIELD_NUMBER, ranking.raw_scores))
    if first.chances is not None:
        answer.MergeFromString(doubles(answer.SCORES_FIELD_NUMBER, first.chances))
    add_parts(answer, ranking.parts, ranked.contributions)
    if ranked.expected is not None and query.with_breakdown:
        values = ranked.expected[ranking.rows]
        answer.MergeFromString(doubles(answer.EXPECTED_VALUES_FIELD_NUMBER, values))
    answer.score_notes.extend(map(note_message, ranked.notes))
    return answer


def note_message(note: ScoreNote) -> answer_pb2.ScoreNote:
    """Return the message of a note."""
    cause = answer_pb2.ScoreNote.Cause.Value(f"CAUSE_{note.cause}")
    return answer_pb2.ScoreNote(part=OBJECTIVE, cause=cause, product_count=note.count)


def degradations(stage: str, served: RequestModel) -> list[answer_pb2.Degradation]:
    """Return the degradations if another model than the intended one answers; empty if none."""
    if not served.substitute:
        return []
    cause = answer_pb2.Degradation.CAUSE_MODEL_NOT_READY
    return [answer_pb2.Degradation(stage=stage, cause=cause, substitute=served.substitute)]


Answer = pb.RankResponse | pb.GiveReasonsResponse


def add_parts(
    answer: Answer, parts: Mapping[str, Doubles], made_of: Mapping[str, Sequence[Contributions]]
) -> None:
    """Add the parts of scores with the contributions to each."""
    answer.MergeFromString(part_columns(answer.PARTS_FIELD_NUMBER, parts))
    for column in answer.parts if made_of else ():
        for each in made_of.get(column.name, ()):
            features = column.features.add().features
            for feature, value in each:
                features.add(name=feature, value=value)


def reason_lists(reasons: Iterable[Sequence[Reason]]) -> Any:
    """Return what protobuf makes the reasons of products of."""
    return [{"reasons": [*map(_reason, each)]} for each in reasons]


@lru_cache(4_096)
def _reason(reason: Reason) -> dict[str, Any]:
    parameters = [{"name": name, "value": value} for name, value in reason.parameters]
    return {"code": reason.code, "text": reason.text, "parameters": parameters}


def score_event(model: Model | None) -> event_pb2.EventType.ValueType:
    """Return the event whose probability the calibrated scores give."""
    if model is None or model.calibration is None:
        return event_pb2.EVENT_TYPE_UNSPECIFIED
    return NUMBERS[model.calibration.event]


def timings(stages: Stages) -> Iterable[answer_pb2.StageTiming]:
    for stage in stages.finished:
        duration = _duration(stage.duration)
        yield answer_pb2.StageTiming(
            stage=stage.name, total=duration, work=duration, start=_duration(stage.start)
        )


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
