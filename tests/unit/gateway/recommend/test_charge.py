"""Charges: the price that a caller pays for a request, and rejections."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.model.controls import ControlRule
from gateway.model.errors import ExpensiveRequestsBusy, RequestTooExpensive
from gateway.model.filters import CallersFilter, of_words
from gateway.model.price import (
    REFERENCE_PRODUCTS,
    RequestPrice,
    photo_price,
)
from gateway.recommend.charge import charged
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from gateway.state.prices import RequestPrices
from gateway.state.request_context import RequestDependencies
from servicekit import deadlines
from servicekit.admission import costs, quotas
from servicekit.admission.quotas import CallerUsage, QuotaExhausted, QuotaKind
from servicekit.rpc.call_turns import one_at_a_time
from sightline_rules.controls import ControlKind
from tests import virtual_time
from tests.fakes.gateway_peers import FakeScenes, Shop, shop_with_photo
from tests.fakes.gateway_values import DEFAULT, by_photo
from tests.fakes.kit_clock import Seconds

KIND = QuotaKind.PROCESSOR_SECONDS


def parts(count: int) -> CallersFilter:
    return of_words(" OR ".join(f'attributes.colour:"x{n}"' for n in range(count)))


BOUND = 0.23
"""Processor seconds: a photo takes nearly all of them."""
TITLED = of_words(" OR ".join(f'title:"x{n}"' for n in range(32)))
BOOSTS = tuple(
    ControlRule(f"boost-{n}", ControlKind.BOOST, filter=TITLED, boost=1.0) for n in range(8)
)


class Account:
    """A caller with two processor seconds, none of which come back."""

    def __init__(self) -> None:
        self.clock, self.cost = Seconds(), costs.Cost()
        self.usage = CallerUsage({KIND: 1e-9}, 2e9, self.clock)

    @property
    def left(self) -> float:
        return self.usage._buckets[KIND]._level


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    held = quotas.account.set(made.usage), costs.current.set(made.cost)
    yield made
    quotas.account.reset(held[0])
    costs.current.reset(held[1])


def bounded(shop: Shop, seconds: float) -> RequestDependencies:
    return replace(shop.deps, prices=RequestPrices(seconds))


@pytest.mark.parametrize("call", [recommend, lambda query, deps: explain(query, "p1", deps)])
async def test_a_request_above_the_bound_reaches_no_peer(call, account: Account) -> None:
    shop = shop_with_photo()
    with pytest.raises(RequestTooExpensive) as caught:
        await call(by_photo(controls=BOOSTS), bounded(shop, BOUND))
    assert [each.field for each in caught.value.violations] == ["signals", "controls"]
    assert "fewer conditions" in caught.value.message
    assert shop.embedder.calls == []
    assert account.left == pytest.approx(2)


async def test_a_larger_catalog_refuses_nothing_that_a_smaller_one_takes() -> None:
    deps = shop_with_photo().deps
    deps.prices.learn("default", 1_000 * REFERENCE_PRODUCTS)
    await recommend(by_photo(filter=parts(16)), deps)


async def test_controls_of_scenes_are_no_reason_to_refuse_a_request() -> None:
    scenes = FakeScenes({"default": replace(DEFAULT, controls=BOOSTS)})
    deps = replace(bounded(shop_with_photo(), BOUND), scenes=scenes)
    assert len((await recommend(by_photo(), deps)).control_outcomes) == len(BOOSTS)


@pytest.mark.parametrize("call", [recommend, search])
async def test_a_request_pays_what_it_did_cost(call, account: Account) -> None:
    shop = shop_with_photo()
    account.cost.add(0.5)
    await call(by_photo(), shop.deps)
    models = 0.1
    assert account.left == pytest.approx(2 - 0.5 - models, abs=0.05)


async def test_a_request_that_fails_pays_its_price(account: Account) -> None:
    price = photo_price()
    with pytest.raises(RuntimeError):
        async with RequestPrices().charged(price, "default"):
            raise RuntimeError
    assert account.left == pytest.approx(2 - price.seconds)


async def test_a_caller_whose_seconds_are_used_up_is_refused_before_any_work(
    account: Account,
) -> None:
    shop = shop_with_photo()
    account.usage.spend(KIND, 1.95)
    with pytest.raises(QuotaExhausted) as caught:
        await recommend(by_photo(), shop.deps)
    assert caught.value.metadata == {"quota": "processor_seconds"}
    assert shop.embedder.calls == []


HELD = RequestPrice({"": 2.0})
"""Another request, which holds the place."""
EXPENSIVE = by_photo(filter=parts(30))


def test_an_expensive_request_waits_and_a_cheap_one_does_not() -> None:
    async def main() -> None:
        shop = shop_with_photo()
        deps = shop.deps
        async with deps.prices.places.held(HELD, "default"):
            waiting = asyncio.create_task(recommend(EXPENSIVE, deps))
            await recommend(by_photo(), deps)
            asked = len(shop.embedder.calls)
            await asyncio.sleep(HELD.seconds)
            assert len(shop.embedder.calls) == asked
        await waiting
        assert len(shop.embedder.calls) == 2 * asked

    _, seconds = virtual_time.run(main())
    assert seconds == pytest.approx(HELD.seconds)


def test_stages_of_a_request_that_waited_share_what_is_left_of_its_deadline() -> None:
    """Plan again after the wait: the stages planned at arrival would have ended before it began."""

    async def left(deps: RequestDependencies) -> float:
        with deadlines.within(2.0):
            async with charged(EXPENSIVE, deps) as run:
                return run.plan.ends.answer

    async def main() -> tuple[float, float]:
        deps = shop_with_photo().deps
        at_once = await left(deps)
        async with deps.prices.places.held(HELD, "default"):
            waiting = asyncio.create_task(left(deps))
            await asyncio.sleep(1.5)
        return at_once, await waiting

    (at_once, later), _ = virtual_time.run(main())
    assert at_once == pytest.approx(2.0, abs=0.05)
    assert later == pytest.approx(0.5, abs=0.05)


def test_a_request_that_gets_no_place_pays_nothing(account: Account) -> None:
    async def main() -> None:
        shop = shop_with_photo()
        deps = shop.deps
        async with deps.prices.places.held(HELD, "default"):
            with deadlines.within(HELD.seconds), pytest.raises(ExpensiveRequestsBusy):
                await recommend(EXPENSIVE, deps)
        assert shop.embedder.calls == []

    virtual_time.run(main())
    assert account.left == pytest.approx(2, abs=0.05)


def test_the_size_of_a_catalog_is_what_the_last_answer_carried() -> None:
    prices = RequestPrices()
    assert prices.products("wines") == REFERENCE_PRODUCTS
    for products in (70, 0):
        prices.learn("wines", products)
        assert prices.products("wines") == 70
    assert prices.products("shoes") == REFERENCE_PRODUCTS


@pytest.mark.parametrize("conditions", [0, 20])
async def test_calls_of_expensive_requests_alone_run_one_at_a_time(conditions: int) -> None:
    query = by_photo(filter=parts(conditions)) if conditions else by_photo()
    async with charged(query, shop_with_photo().deps):
        assert (one_at_a_time.get() is not None) is (conditions > 0)
    assert one_at_a_time.get() is None
