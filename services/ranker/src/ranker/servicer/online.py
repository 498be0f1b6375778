"""The online report on the wire."""

from google.protobuf.duration_pb2 import Duration

from ranker.domain.events import DAY_MICROS
from ranker.domain.online import Online, Period, Tally, rates
from ranker.feedback.estimators import CLIP
from ranker.feedback.health import Health
from ranker.servicer.messages import message_of
from ranker.servicer.requests import check_range
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
    return message_of(
        pb.OnlineReport,
        asked,
        conversion_window=Duration(seconds=asked.conversion_micros // 1_000_000),
        groups=map(_group, found.tallies),
        attribution=found.joined,
        health=None if looked is None else _health(looked),
    )


def _group(tally: Tally) -> pb.OnlineGroup:
    click_through, conversion, hide = rates(tally)
    return message_of(
        pb.OnlineGroup,
        tally,
        impression_count=tally.shown.count,
        click_through=click_through,
        conversion=conversion,
        hide=hide,
    )


def _health(looked: Health) -> pb.FeedbackHealth:
    policies = [
        message_of(pb.PolicyEstimate, one.estimates, policy=one.name, clip=CLIP)
        for one in looked.policies
    ]
    return message_of(pb.FeedbackHealth, looked, policies=policies)
