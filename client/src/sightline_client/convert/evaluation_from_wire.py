"""An evaluation's message as plain values."""

from typing import Any

from sightline.ranker.v1 import evaluation_pb2 as pb
from sightline_client.convert.wire_values import member, time
from sightline_client.values import evaluation as values


def evaluation(message: pb.Evaluation) -> values.Evaluation:
    """What a model's evaluation found."""
    return values.Evaluation(
        model_version=message.model_version,
        verdict=verdict(message.verdict),
        summary=message.summary,
        trials=tuple(map(_trial, message.trials)),
        production_version=message.production_version,
        production_form=member(
            values.ProductionForm,
            pb.Evaluation.ProductionForm,
            message.production_form,
            "PRODUCTION_FORM_",
        ),
        shopper_count=message.shopper_count,
        evaluate_time=time(message.evaluate_time) if message.HasField("evaluate_time") else None,
    )


def verdict(number: Any) -> values.Verdict:
    """What the evidence says."""
    return member(values.Verdict, pb.Evaluation.Verdict, number, "VERDICT_")


def _trial(message: pb.EvaluationTrial) -> values.EvaluationTrial:
    return values.EvaluationTrial(
        protocol=member(
            values.SplitProtocol, pb.EvaluationTrial.Protocol, message.protocol, "PROTOCOL_"
        ),
        share=message.share,
        split_time=time(message.split_time) if message.HasField("split_time") else None,
        event_count_before=message.event_count_before,
        event_count_after=message.event_count_after,
        product_count=message.product_count,
        systems=tuple(map(_system, message.systems)),
        comparisons=tuple(map(_comparison, message.comparisons)),
    )


def _system(message: pb.EvaluatedSystem) -> values.EvaluatedSystem:
    return values.EvaluatedSystem(
        name=message.name,
        kind=member(values.SystemKind, pb.EvaluatedSystem.Kind, message.kind, "KIND_"),
        slices=tuple(
            values.EvaluationSlice(one.name, tuple(map(_figure, one.figures)))
            for one in message.slices
        ),
        exposures=tuple(
            values.BrandExposure(one.brand, one.place_share, one.product_share, one.interest_share)
            for one in message.exposures
        ),
    )


def _figure(message: pb.EvaluationFigure) -> values.EvaluationFigure:
    return values.EvaluationFigure(
        name=message.name,
        value=message.value,
        low=message.low if message.HasField("low") else None,
        high=message.high if message.HasField("high") else None,
        sample_count=message.sample_count,
    )


def _comparison(message: pb.EvaluationComparison) -> values.EvaluationComparison:
    return values.EvaluationComparison(
        against=message.against,
        metric=message.metric,
        difference=message.difference,
        low=message.low,
        high=message.high,
        smallest_effect=message.smallest_effect if message.HasField("smallest_effect") else None,
        margin=message.margin,
        verdict=verdict(message.verdict),
        decides=message.decides,
    )
