"""What is told of a ranking, as messages. Edge: translates and decides nothing."""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.duration_pb2 import Duration

from ranker.domain.arrays import Doubles
from ranker.domain.model import Model
from ranker.ranking import breakdown
from ranker.ranking.breakdown import Addends, Evidence
from ranker.ranking.explain import Reason, explain
from ranker.ranking.order import Order
from ranker.servicer.arranging import features_of, moved
from ranker.servicer.events import NUMBERS
from ranker.servicer.packed import doubles
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb


def ranked(request: pb.RankRequest, evidence: Evidence, order: Order) -> pb.RankResponse:
    """The first of the order with all that is told of them; `evidence` is what explains those that
    are explained."""
    first, ids, model = order.first(request.top_k), evidence.candidates.ids, evidence.model
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
        **moved(first),
    )
    if evidence.ranking.rows.size:
        reasons = explain(evidence, request.language_code, order.explored)
        add_reasons(answer, reasons)
    answer.MergeFromString(doubles(answer.RAW_SCORES_FIELD_NUMBER, ranking.raw_scores))
    if first.chances is not None:
        answer.MergeFromString(doubles(answer.SCORES_FIELD_NUMBER, first.chances))
    addends = breakdown.split(evidence) if request.explain else {}
    add_parts(answer, ranking.parts, addends)
    return answer


Answer = pb.RankResponse | pb.GiveReasonsResponse


def add_parts(
    answer: Answer, parts: Mapping[str, Doubles], addends: Mapping[str, Sequence[Addends]]
) -> None:
    """The parts of scores, with what their values are made of."""
    for name, values in parts.items():
        column = answer.parts.add(name=name, features=features_of(addends.get(name, ())))
        column.MergeFromString(doubles(column.VALUES_FIELD_NUMBER, values))


def add_reasons(answer: Answer, reasons: Iterable[Sequence[Reason]]) -> None:
    """Reasons of each product."""
    for each in reasons:
        told = answer.reasons.add().reasons
        for reason in each:
            made = told.add(code=reason.code, text=reason.text)
            for name, value in reason.parameters:
                made.parameters.add(name=name, value=value)


def score_event(model: Model | None) -> event_pb2.EventType.ValueType:
    """Of which event calibrated scores are the chance."""
    if model is None or model.calibration is None:
        return event_pb2.EVENT_TYPE_UNSPECIFIED
    return NUMBERS[model.calibration.event]


def model_not_ready(stage: str) -> answer_pb2.Degradation:
    """What is lost as long as the promoted model can't be loaded."""
    return answer_pb2.Degradation(
        stage=stage,
        cause=answer_pb2.Degradation.CAUSE_MODEL_NOT_READY,
        substitute="similarity and popularity",
    )


def timings(stages: Stages) -> Iterable[answer_pb2.StageTiming]:
    """How long each stage took."""
    for stage in stages.finished:
        duration = _duration(stage.duration)
        yield answer_pb2.StageTiming(
            stage=stage.name, total=duration, work=duration, start=_duration(stage.start)
        )


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
