"""Units sold by day over real gRPC, on each engine."""

import asyncio

import pytest

from ranker.domain.signals import DEFAULTS
from ranker.workers.counting import count
from servicekit.clock import now_micros
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import event_service_pb2 as pb
from tests.wire.ranker_suite import HOUR, Suite, event, refusal, suite

__all__ = ["suite"]  # fixtures
DAY = 24 * HOUR


def bought(product_id: str, ago_days: int, quantity: int, who: str) -> event_pb2.Event:
    shopper = event_pb2.Shopper(user_id=who)
    return event(product_id, "PURCHASE", ago=ago_days * DAY, quantity=quantity, shopper=shopper)


async def test_units_are_counted_by_day_without_today_and_days_before(suite: Suite) -> None:
    before = now_micros() // (DAY * 1_000_000)
    await suite.append(
        event("r0", "VIEW", ago=40 * DAY),
        bought("r0", 30, 5, "ann"),
        bought("r0", 3, 2, "ann"),
        bought("r0", 3, 1, "ben"),
        bought("r0", 1, 30, "ben"),
        bought("r0", 0, 1, "cem"),
        event("w1", "VIEW", ago=9 * DAY),
    )
    await count(suite.database, DEFAULTS, asyncio.Event())

    found = await suite.events.CountSales(
        pb.CountSalesRequest(product_ids=["r0", "w1", "unknown"], days=14)
    )

    if now_micros() // (DAY * 1_000_000) != before:
        pytest.skip("the day (UTC) changed during the test")
    assert (found.first_day, found.last_day) == (before - 9, before - 1)
    red, white, unknown = found.products
    assert red.first_day == before - 40
    assert dict(zip(red.days, red.units, strict=True)) == {before - 3: 3, before - 1: 10}
    assert (white.first_day, list(white.days)) == (before - 9, [])
    assert (unknown.first_day, list(unknown.days)) == (0, [])


async def test_a_catalog_without_events_has_no_days(suite: Suite) -> None:
    found = await suite.events.CountSales(pb.CountSalesRequest(product_ids=["r0"], days=14))

    assert (found.first_day, found.last_day) == (0, 0)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.CountSalesRequest(days=14), "product_ids"),
        (pb.CountSalesRequest(product_ids=["a"] * 1001, days=14), "product_ids"),
        (pb.CountSalesRequest(product_ids=["a\x00"], days=14), "product_id"),
        (pb.CountSalesRequest(product_ids=["a"]), "days"),
        (pb.CountSalesRequest(product_ids=["a"], days=367), "days"),
        (pb.CountSalesRequest(product_ids=["a"], days=14, catalog_id="none"), "catalog_id"),
    ],
)
async def test_a_request_out_of_range_is_rejected(
    suite: Suite, request_: pb.CountSalesRequest, field: str
) -> None:
    assert field in str(await refusal(suite.events.CountSales(request_)))
