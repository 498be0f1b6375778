"""The online report on the wire."""

from google.protobuf.duration_pb2 import Duration

from ranker.feedback.drift import Drift
from ranker.feedback.estimators import CLIP, Estimate
from ranker.feedback.health import Health
from ranker.feedback.online import DAY_MICROS, Joined, Online, Period, Rate, Tally, rates
from ranker.feedback.policies import Policy
from ranker.servicer.requests import check_range, timestamp
from sightline.ranker.v1 import online_report_pb2 as pb

DEFAULT_DAYS, MOST_DAYS = 7, 365
DEFAULT_CONVERSION_DAYS, MOST_CONVERSION_DAYS = 7, 90


def period(request: pb.GetOnlineReportRequest, now_micros: int) -> Period:
    """What the request asks for; RequestInvalid."""
    check_range("days", request.days, 0, MOST_DAYS)
    check_range("conversion_days", request.conversion_days, 0, MOST_CONVERSION_DAYS)
    days = request.days or DEFAULT_DAYS
    return Period(
        start_micros=now_micros - days * DAY_MICROS,
        end_micros=now_micros,
        conversion_micros=(request.conversion_days or DEFAULT_CONVERSION_DAYS) * DAY_MICROS,
    )


def report(asked: Period, found: Online, looked: Health | None) -> pb.OnlineReport:
    """The counts as a message, with what a worker found last; None = nothing yet."""
    return pb.OnlineReport(
        start_time=timestamp(asked.start_micros),
        end_time=timestamp(asked.end_micros),
        conversion_window=Duration(seconds=asked.conversion_micros // 1_000_000),
        groups=map(_group, found.tallies),
        attribution=_attribution(found.joined),
        health=None if looked is None else _health(looked),
    )


def _group(tally: Tally) -> pb.OnlineGroup:
    click_through, conversion, hide = map(_rate, rates(tally))
    return pb.OnlineGroup(
        model_version=tally.model_version,
        scene=tally.scene,
        arm=tally.arms,
        answer_count=tally.answers,
        shown_answer_count=tally.shown_answers,
        impression_count=tally.shown.count,
        click_through=click_through,
        conversion=conversion,
        hide=hide,
        clicks_without_impression=tally.clicks_without_impression,
        conversions_without_impression=tally.conversions_without_impression,
    )


def _rate(rate: Rate) -> pb.Rate:
    return pb.Rate(count=rate.count, value=rate.value, lower=rate.lower, upper=rate.upper)


def _attribution(joined: Joined) -> pb.AttributionCounts:
    return pb.AttributionCounts(
        token_count=joined.tokens, named_count=joined.named, joined_count=joined.joined
    )


def _health(looked: Health) -> pb.FeedbackHealth:
    return pb.FeedbackHealth(
        compute_time=timestamp(looked.computed_micros),
        start_time=timestamp(looked.start_micros),
        reference_time=timestamp(looked.reference_micros),
        policies=map(_policy, looked.policies),
        drift=map(_drift, looked.drift),
    )


def _policy(policy: Policy) -> pb.PolicyEstimate:
    known = policy.estimates
    return pb.PolicyEstimate(
        policy=policy.name,
        impression_count=known.count,
        effective_sample_size=known.size,
        support=known.support,
        clip=CLIP,
        clipped_share=known.clipped_share,
        ips=_estimate(known.ips),
        snips=_estimate(known.snips),
        doubly_robust=_estimate(known.doubly_robust),
        refusal=known.refusal,
    )


def _estimate(found: Estimate | None) -> pb.Estimate | None:
    if found is None:
        return None
    return pb.Estimate(value=found.value, lower=found.lower, upper=found.upper)


def _drift(found: Drift) -> pb.DriftItem:
    return pb.DriftItem(
        item=found.item,
        measure=found.measure,
        value=found.value,
        threshold=found.threshold,
        flagged=found.flagged,
        text=found.text,
        reference_count=found.reference_count,
        count=found.count,
    )
