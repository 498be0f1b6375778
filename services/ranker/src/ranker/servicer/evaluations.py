"""What an evaluation found, as messages."""

from ranker.evaluation.report import (
    Comparison,
    Figure,
    Kind,
    ProductionAs,
    Report,
    System,
    Trial,
)
from ranker.evaluation.splits import Protocol
from ranker.model import Verdict
from ranker.servicer.requests import timestamp
from sightline.ranker.v1 import evaluation_pb2 as pb

VERDICTS = {one: pb.Evaluation.Verdict.Value(f"VERDICT_{one}") for one in Verdict}
FORMS = {
    ProductionAs.NONE: pb.Evaluation.PRODUCTION_FORM_UNSPECIFIED,
    ProductionAs.ARTIFACT: pb.Evaluation.PRODUCTION_FORM_ARTIFACT,
    ProductionAs.REFITTED: pb.Evaluation.PRODUCTION_FORM_REFITTED,
}
PROTOCOLS = {
    Protocol.GLOBAL: pb.EvaluationTrial.PROTOCOL_GLOBAL,
    Protocol.PER_USER_TAIL: pb.EvaluationTrial.PROTOCOL_PER_USER_TAIL,
}
KINDS = {one: pb.EvaluatedSystem.Kind.Value(f"KIND_{one}") for one in Kind}


def evaluation_message(report: Report, model_version: str = "") -> pb.Evaluation:
    """The report of a model, or of none that the registry has."""
    return pb.Evaluation(
        model_version=model_version,
        verdict=VERDICTS[report.verdict],
        summary=report.summary,
        trials=map(_trial, report.trials),
        production_version=report.production,
        production_form=FORMS[report.production_as],
        shopper_count=report.shopper_count,
        evaluate_time=timestamp(report.evaluated_micros),
    )


def _trial(trial: Trial) -> pb.EvaluationTrial:
    moment = trial.moment_micros
    return pb.EvaluationTrial(
        protocol=PROTOCOLS[trial.protocol],
        share=trial.share,
        split_time=None if moment is None else timestamp(moment),
        event_count_before=trial.events_before,
        event_count_after=trial.events_after,
        product_count=trial.product_count,
        systems=map(_system, trial.systems),
        comparisons=map(_comparison, trial.comparisons),
    )


def _system(system: System) -> pb.EvaluatedSystem:
    return pb.EvaluatedSystem(
        name=system.name,
        kind=KINDS[system.kind],
        slices=[
            pb.EvaluationSlice(name=one.name, figures=map(_figure, one.figures))
            for one in system.slices
        ],
        exposures=[
            pb.BrandExposure(
                brand=one.brand,
                place_share=one.places,
                product_share=one.products,
                interest_share=one.interests,
            )
            for one in system.exposures
        ],
    )


def _figure(figure: Figure) -> pb.EvaluationFigure:
    return pb.EvaluationFigure(
        name=figure.name,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        sample_count=figure.sample_count,
    )


def _comparison(one: Comparison) -> pb.EvaluationComparison:
    return pb.EvaluationComparison(
        against=one.against,
        metric=one.metric,
        difference=one.difference,
        low=one.low,
        high=one.high,
        smallest_effect=one.smallest_effect,
        margin=one.margin,
        verdict=VERDICTS[one.verdict],
        decides=one.decides,
    )
