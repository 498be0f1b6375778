"""Counts with differential privacy in messages."""

import math
from collections.abc import Iterable, Sequence

from ranker.domain.events import EventType
from ranker.domain.private_counts import (
    DEFAULT_PRODUCTS,
    MOST_EPSILON,
    MOST_PRODUCTS,
    CountsOrder,
)
from ranker.domain.selection import Selection
from ranker.record.private_counts import Spending
from ranker.servicer.events import time_of, types_of
from ranker.servicer.messages import message_of
from ranker.servicer.profiles import KEY
from ranker.servicer.requests import refuse
from sightline.ranker.v1 import privacy_service_pb2 as pb


def counts_order(
    request: pb.ExportCountsRequest, catalog_id: str, last_sequence: int
) -> CountsOrder:
    """Return the order of a request. Raise RequestInvalid."""
    refuse(_problems(request))
    return CountsOrder(
        Selection(
            catalog_id=catalog_id,
            from_micros=time_of(request, "from_time"),
            before_micros=time_of(request, "before_time"),
            types=types_of(request) or (EventType.PURCHASE,),
            last_sequence=last_sequence,
        ),
        request.epsilon,
        request.attribute,
        request.most_products or DEFAULT_PRODUCTS,
    )


def _problems(request: pb.ExportCountsRequest) -> Iterable[tuple[str, str]]:
    if not request.request_id:
        yield "request_id", "is required: a repeated request must spend the budget once"
    if not (math.isfinite(request.epsilon) and 0 < request.epsilon <= MOST_EPSILON):
        yield "epsilon", f"is not above 0 and at most {MOST_EPSILON:g}"
    if not 0 <= request.most_products <= MOST_PRODUCTS:
        yield "most_products", f"is not within 0 and {MOST_PRODUCTS}"
    if request.attribute and not KEY.fullmatch(request.attribute):
        yield "attribute", "is not 1 to 64 characters of [a-z0-9_.-]"


def budget_message(epsilon: float, days: float, spendings: Sequence[Spending]) -> pb.PrivacyBudget:
    """Return the budget as a message."""
    return pb.PrivacyBudget(
        epsilon=epsilon,
        days=days,
        left=max(epsilon - math.fsum(one.epsilon for one in spendings), 0.0),
        spendings=map(_spending, spendings),
    )


_spending = message_of.writer(pb.PrivacySpending, Spending)
