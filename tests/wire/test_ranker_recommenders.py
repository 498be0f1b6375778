"""Recommenders by counts and anchors over real gRPC, on each engine."""

import asyncio

from ranker.domain.signals import DEFAULTS
from ranker.workers.counting import count
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import ranking_service_pb2
from tests.wire.ranker_suite import HOUR, PRODUCTS, Suite, crowd, event, refusal, suite

__all__ = ["suite"]  # fixtures
DAY = 24 * HOUR
Anchors = ranking_service_pb2.Anchors


def orders() -> list[event_pb2.Event]:
    """Return 300 orders of the last month, of which 120 pair r0 with w5; all contain another
    product."""
    return [
        event(
            item,
            "PURCHASE",
            ago=n % 28 * DAY + 60,
            shopper=event_pb2.Shopper(user_id=f"buyer-{n}"),
            order_id=f"o{n}",
        )
        for n in range(300)
        for item in (("r0", "w5", f"w{n % 4}") if n < 120 else (f"r{n % 5 + 1}", f"w{n % 4}"))
    ]


async def counted(suite: Suite) -> None:
    await count(suite.database, DEFAULTS, asyncio.Event())


async def listed(suite: Suite, name: str, **fields: object) -> list[str]:
    found = await suite.generate(recommenders=[name], recommenders_only=True, **fields)
    assert found.count_lag_micros == 0
    (one,) = found.lists
    return list(one.product_ids)


async def test_what_orders_pair_comes_first_on_the_others_page_with_a_promoted_model(
    suite: Suite,
) -> None:
    await suite.append(*orders())
    await suite.promote(await suite.learn())
    others = [one for one in PRODUCTS if one.product_id != "r0"]
    weights = {"bought_together": 1.0}
    page = await suite.rank(others, weights, anchors=Anchors(product_ids=["r0"]))
    assert page.product_ids[0] == "w5"
    assert page.raw_scores[0] > 0
    assert set((await suite.rank(others, weights)).raw_scores) == {0.0}
    await counted(suite)
    found = await listed(suite, "co_purchase", anchors=Anchors(product_ids=["r0"]))
    assert found[0] == "w5"


async def test_nobody_in_particular_sees_what_trends_what_sells_and_how_far_counts_are(
    suite: Suite,
) -> None:
    steady = [
        event("w1", ago=n * DAY, shopper=event_pb2.Shopper(user_id=f"s{n}{k}"))
        for n in range(28)
        for k in range(6)
    ]
    rising = [event("w2", shopper=event_pb2.Shopper(user_id=f"n{n}")) for n in range(12)]
    await suite.append(*steady, *rising, event("r3", "PURCHASE", quantity=2))
    behind = await suite.generate(recommenders=["trending"])
    assert behind.count_lag_micros > 0
    await counted(suite)
    assert await listed(suite, "trending") == ["w2", "r3"], "w1 always goes like that"
    assert await listed(suite, "best_sellers") == ["r3"]
    await suite.append(event("w4", "HIDE"), event("w2", "HIDE"))
    ann = event_pb2.Shopper(user_id="ann-the-customer@example.org")
    assert "w2" not in await listed(suite, "trending", shopper=ann)


async def test_a_purchase_leaves_the_cart_and_is_to_be_ordered_again(suite: Suite) -> None:
    ann = event_pb2.Shopper(user_id="ann-the-customer@example.org")
    await suite.append(*crowd(), event("r1", "ADD_TO_CART", ago=20), event("r2", ago=10))
    cart = {"shopper": ann, "anchors": Anchors(source=Anchors.SOURCE_CART)}
    assert list((await suite.generate(**cart)).anchor_product_ids) == ["r1"]
    await counted(suite)
    assert await listed(suite, "left_in_cart", shopper=ann) == ["r1"]
    await suite.append(event("r1", "PURCHASE"))
    assert not (await suite.generate(**cart)).anchor_product_ids
    await counted(suite)
    assert await listed(suite, "reorder", shopper=ann) == ["r1"]
    assert await listed(suite, "left_in_cart", shopper=ann) == []
    assert await listed(suite, "recently_viewed", shopper=ann) == ["r2"]
    assert await listed(suite, "reorder") == []


async def test_too_many_anchors_and_lists_that_nobody_has_are_refused(suite: Suite) -> None:
    many = Anchors(product_ids=[f"p{n}" for n in range(51)])
    for call, field in (
        (suite.rank(anchors=many), "anchors.product_ids"),
        (suite.generate(anchors=many), "anchors.product_ids"),
        (suite.generate(recommenders=["magic"]), "recommenders[0]"),
    ):
        error = await refusal(call)
        assert error.code == "INVALID_ARGUMENT"
        assert error.violations[0].field == field
