"""The online report's messages into plain values."""

from datetime import UTC

from sightline.ranker.v1 import online_report_pb2 as pb
from sightline_client.values import online


def report(message: pb.OnlineReport) -> online.OnlineReport:
    """How answers fared with shoppers."""
    return online.OnlineReport(
        start_time=message.start_time.ToDatetime(UTC),
        end_time=message.end_time.ToDatetime(UTC),
        conversion_window=message.conversion_window.ToTimedelta(),
        groups=tuple(map(_group, message.groups)),
        attribution=online.AttributionCounts(
            token_count=message.attribution.token_count,
            named_count=message.attribution.named_count,
            joined_count=message.attribution.joined_count,
        ),
        health=_health(message.health) if message.HasField("health") else None,
    )


def _group(message: pb.OnlineGroup) -> online.OnlineGroup:
    return online.OnlineGroup(
        model_version=message.model_version,
        scene=message.scene,
        arm=message.arm,
        answer_count=message.answer_count,
        shown_answer_count=message.shown_answer_count,
        impression_count=message.impression_count,
        click_through=_rate(message.click_through),
        conversion=_rate(message.conversion),
        hide=_rate(message.hide),
        clicks_without_impression=message.clicks_without_impression,
        conversions_without_impression=message.conversions_without_impression,
    )


def _rate(message: pb.Rate) -> online.Rate:
    return online.Rate(message.count, message.value, message.lower, message.upper)


def _health(message: pb.FeedbackHealth) -> online.FeedbackHealth:
    return online.FeedbackHealth(
        compute_time=message.compute_time.ToDatetime(UTC),
        start_time=message.start_time.ToDatetime(UTC),
        reference_time=message.reference_time.ToDatetime(UTC),
        policies=tuple(map(_policy, message.policies)),
        drift=tuple(map(_drift, message.drift)),
    )


def _policy(message: pb.PolicyEstimate) -> online.PolicyEstimate:
    ips, snips, doubly_robust = (
        _estimate(getattr(message, name)) if message.HasField(name) else None
        for name in ("ips", "snips", "doubly_robust")
    )
    return online.PolicyEstimate(
        policy=message.policy,
        impression_count=message.impression_count,
        effective_sample_size=message.effective_sample_size,
        support=message.support,
        clip=message.clip,
        clipped_share=message.clipped_share,
        ips=ips,
        snips=snips,
        doubly_robust=doubly_robust,
        refusal=message.refusal,
    )


def _estimate(message: pb.Estimate) -> online.Estimate:
    return online.Estimate(message.value, message.lower, message.upper)


def _drift(message: pb.DriftItem) -> online.DriftItem:
    return online.DriftItem(
        item=message.item,
        measure=message.measure,
        value=message.value,
        threshold=message.threshold,
        flagged=message.flagged,
        text=message.text,
        reference_count=message.reference_count,
        count=message.count,
    )
