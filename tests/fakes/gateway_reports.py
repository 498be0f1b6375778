"""Reports of a gateway with canned answers."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from sightline.ranker.v1 import experiment_service_pb2 as pb
from sightline.ranker.v1 import online_report_pb2 as online

ORDER = pb.Experiment(
    name="order",
    layer="home",
    layer_end=0.5,
    scenes=["home"],
    arms=[pb.ExperimentArm(name="control", share=0.5), pb.ExperimentArm(name="b", share=0.5)],
    start_time=Timestamp(seconds=1_767_225_600),
    metric="click_rate",
    outcome_window=Duration(seconds=86_400),
    planned_units=1_000,
    guardrails=[pb.Guardrail(metric="hide_rate", margin=0.01)],
)
VERDICT = pb.ArmReport.Verdict


def experiment_report(verdict: int, **fields: object) -> pb.ExperimentReport:
    """Return the results of two arms."""
    effect = pb.EffectInterval(value=0.05, lower=0.01, upper=0.09)
    arms = [
        pb.ArmReport(
            name="control",
            exposed_count=500,
            unit_count=400,
            metrics=[
                pb.MetricReport(metric=name, mean=0.2) for name in ("click_rate", "hide_rate")
            ],
        ),
        pb.ArmReport(
            name="b",
            exposed_count=490,
            unit_count=390,
            metrics=[
                pb.MetricReport(metric="click_rate", mean=0.25, effect=effect),
                pb.MetricReport(metric="hide_rate", mean=0.1),
            ],
            verdict=verdict,
            broken_guardrails=["hide_rate"] if verdict == VERDICT.VERDICT_GUARDRAIL_BROKEN else [],
        ),
    ]
    return pb.ExperimentReport(experiment=ORDER, arms=arms, **fields)


def online_report() -> online.OnlineReport:
    """Return outcomes of answers, estimates and drift."""
    estimate = online.Estimate(value=0.05, lower=0.02, upper=0.09)
    return online.OnlineReport(
        conversion_window=Duration(seconds=2 * 86_400),
        groups=[
            online.OnlineGroup(
                model_version="m1",
                scene="home",
                arm="blue",
                answer_count=9,
                shown_answer_count=8,
                impression_count=80,
                click_through=online.Rate(count=4, value=0.05, lower=0.02, upper=0.09),
                clicks_without_impression=6,
            )
        ],
        attribution=online.AttributionCounts(token_count=7, named_count=5, joined_count=2),
        health=online.FeedbackHealth(
            policies=[
                online.PolicyEstimate(
                    policy="served", ips=estimate, snips=estimate, doubly_robust=estimate
                ),
                online.PolicyEstimate(policy="raw_score", refusal="NOT MEASURED: too few"),
            ],
            drift=[
                online.DriftItem(
                    item="category",
                    measure="psi",
                    value=0.4,
                    threshold=0.25,
                    flagged=True,
                    text="Red 60%, was 30%",
                )
            ],
        ),
    )
