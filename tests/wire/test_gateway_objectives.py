"""Number parts and objectives of scenes, before a real retriever and ranker."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.type import money_pb2

from sightline.common.v1 import answer_pb2, event_pb2, filter_pb2, product_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    recommendation_service_pb2_grpc,
)
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.waiting import until
from tests.wire.gateway_calls import ids
from tests.wire.test_gateway_snapshot import Behind, behind, front, wine

pytestmark = pytest.mark.full

__all__ = ["behind"]  # fixtures
BRANCHES = """
[branches]
visual = 0.0
text = 0.0
text_visual = 0.0
keywords = 0.0
collaborative = 0.0
new = 1.0
"""
NUMBERS = f"""
{BRANCHES}
[parts_without_signals]
rating = 2.0
stock = 0.5
margin = 1.0
"attribute.abv" = 1.0
[numbers]
usual_rating = 4.0
usual_rating_count = 10
plenty_of_stock = 10
[numbers.attributes.abv]
least = 10.0
most = 15.0
"""
OBJECTIVE = f"""
objective = "margin"
objective_strength = 1.0
{BRANCHES}
[parts_without_signals]
rating = 1.0
[numbers]
usual_rating_count = 0
"""
WINES = {
    # euros, cost, currency of the cost, rating, count, stock, abv
    "best": (100, 90, "EUR", 5.0, 40, 5, 15.0),
    "good": (100, 60, "EUR", 4.5, 40, 50, 12.5),
    "fair": (100, 20, "EUR", 4.0, 40, 0, 9.0),
    "loss": (10, 20, "EUR", 3.5, 40, None, None),
    "bare": (100, None, "EUR", 3.0, None, 1, None),
    "foreign": (100, 10, "USD", 2.5, 40, 1, None),
}
NOTE = answer_pb2.ScoreNote


def products() -> list[product_pb2.Product]:
    found = []
    for name, (euros, cost, currency, rating, count, stock, abv) in WINES.items():
        made = wine(name, "A", euros, product_pb2.AVAILABILITY_IN_STOCK)
        made.rating = rating
        if cost is not None:
            made.cost.CopyFrom(money_pb2.Money(currency_code=currency, units=cost))
        if count is not None:
            made.rating_count = count
        if stock is not None:
            made.stock = stock
        if abv is not None:
            made.attributes.add(key="abv", number=abv)
        if name == "best":
            there = made.markets.add(market_id="de")
            there.price.CopyFrom(money_pb2.Money(currency_code="EUR", units=900))
        found.append(made)
    return found


@dataclass
class Shop:
    """A gateway with scenes of its own, whose record holds the products."""

    ask: recommendation_service_pb2_grpc.RecommendationServiceStub
    admin: admin_service_pb2_grpc.AdminServiceStub
    behind: Behind


@pytest.fixture
async def shop(behind: Behind, tmp_path: Path) -> AsyncIterator[Shop]:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    (scenes / "numbers.toml").write_text(NUMBERS)
    (scenes / "earn.toml").write_text(OBJECTIVE)
    (scenes / "label.toml").write_text(OBJECTIVE.replace("strength = 1.0", "strength = 0.0"))
    async with front(behind, tmp_path / "kept", scenes) as (_, channel):
        catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)
        made = Shop(
            recommendation_service_pb2_grpc.RecommendationServiceStub(channel),
            admin_service_pb2_grpc.AdminServiceStub(channel),
            behind,
        )

        async def written() -> bool:
            request = catalog_service_pb2.UpsertProductsRequest(products=products())
            try:
                answer = await catalog.UpsertProducts(request, timeout=5)
            except grpc.aio.AioRpcError:
                return False  # it starts
            assert [each.status.message for each in answer.results] == [""] * len(WINES)
            return True

        async def ranked() -> bool:
            answer = await recommended(made, "numbers")
            return len(answer.results) == len(WINES) and not answer.degradations

        await until(written)
        await until(ranked)
        yield made


async def recommended(
    shop: Shop, scene: str, market: str = "", *, explain: bool = False
) -> pb.RecommendResponse:
    request = pb.RecommendRequest(scene=scene, explain=explain, page_size=10)
    if market:
        request.filter.CopyFrom(filter_pb2.Filter(market_id=market))
    return await shop.ask.Recommend(request, timeout=30)


def notes(
    answer: pb.RecommendResponse | pb.RecommendValuesResponse | pb.ListResponse, part: str = ""
) -> dict[tuple[str, int], int]:
    """Return the notes, or those of one part."""
    return {
        (each.part, each.cause): each.product_count
        for each in answer.score_notes
        if part in ("", each.part)
    }


async def test_numbers_are_parts_that_sum_to_the_raw_score(shop: Shop) -> None:
    answer = await recommended(shop, "numbers")
    parts = {
        each.product.product_id: {part.name: part.value for part in each.parts}
        for each in answer.results
    }
    for each in answer.results:
        values = [part.value for part in each.parts]
        assert each.raw_score == pytest.approx(sum(values), abs=1e-6 * sum(map(abs, values)))
        assert not each.product.HasField("cost")
    assert parts["best"] == pytest.approx(
        {"rating": 2 * 0.96, "stock": 0.25, "margin": 0.1, "attribute.abv": 1.0}
    )
    assert parts["good"] == pytest.approx(
        {"rating": 2 * (4.4 / 5), "stock": 0.5, "margin": 0.4, "attribute.abv": 0.5}
    )
    assert (parts["fair"]["attribute.abv"], parts["loss"]["margin"]) == (0, 0)
    assert parts["bare"]["rating"] == pytest.approx(2 * (43 / 11) / 5)
    assert notes(answer) == {
        ("rating", NOTE.CAUSE_RATING_WITHOUT_COUNT): 1,
        ("stock", NOTE.CAUSE_NUMBER_MISSING): 1,
        ("margin", NOTE.CAUSE_NUMBER_MISSING): 1,
        ("margin", NOTE.CAUSE_OTHER_CURRENCY): 1,
        ("margin", NOTE.CAUSE_COST_ABOVE_PRICE): 1,
        ("attribute.abv", NOTE.CAUSE_NUMBER_MISSING): 3,
    }
    # In the market the price is another one; the others are sold in every market.
    there = await recommended(shop, "numbers", "de")
    (best,) = [each for each in there.results if each.product.product_id == "best"]
    assert {part.name: part.value for part in best.parts}["margin"] == pytest.approx(0.9)


async def test_an_objective_orders_by_expected_margins_and_says_what_it_lacks(shop: Shop) -> None:
    label = await recommended(shop, "label")
    assert ids(label) == ["best", "good", "fair", "loss", "bare", "foreign"]
    assert (label.versions.objective, notes(label, "objective")) == ("margin", {})
    answer = await recommended(shop, "earn", explain=True)
    found = {each.product.product_id: each for each in answer.results}
    # By formula, with r the rating from 2.5 to 5: 10^(r - 1) × margin.
    expected = {
        name: 10 ** ((rating - 2.5) / 2.5 - 1) * (euros - cost)
        for name, (euros, cost, currency, rating, *_) in WINES.items()
        if cost is not None and currency == "EUR"
    }
    values = {name: each.expected_value for name, each in found.items() if name in expected}
    assert values == pytest.approx(expected)
    assert not found["bare"].HasField("expected_value")
    assert not found["foreign"].HasField("expected_value")
    assert ids(answer)[:3] == ["fair", "good", "best"]
    assert {part.name for part in found["fair"].parts} == {"rating"}
    assert found["fair"].raw_score == pytest.approx(0.8)
    assert (found["fair"].score_rank, found["fair"].rank) == (3, 1)
    assert list(found["fair"].moves) == [
        answer_pb2.Move(cause=answer_pb2.Move.CAUSE_OBJECTIVE, places=2)
    ]
    assert notes(answer, "objective") == {
        ("objective", NOTE.CAUSE_CHANCE_BY_FORMULA): 0,
        ("objective", NOTE.CAUSE_NUMBER_MISSING): 1,
        ("objective", NOTE.CAUSE_OTHER_CURRENCY): 1,
    }
    assert not any(each.HasField("expected_value") for each in label.results)
    again = await replayed(shop, answer.attribution_token)
    assert again.equal, again.differences


async def replayed(shop: Shop, token: str) -> pb.ReplayRecommendationResponse:
    found = []

    async def recorded() -> bool:
        request = pb.ReplayRecommendationRequest(attribution_token=token)
        try:
            found.append(await shop.ask.ReplayRecommendation(request, timeout=30))
        except grpc.aio.AioRpcError:
            return False  # it is written after the answer
        return True

    await until(recorded)
    return found[0]


async def test_lists_values_and_shelves_say_what_their_scores_lack(shop: Shop) -> None:
    answer = await recommended(shop, "earn")
    values = await shop.ask.RecommendValues(
        pb.RecommendValuesRequest(
            field="brand", request=pb.RecommendRequest(scene="earn", page_size=10)
        ),
        timeout=30,
    )
    assert notes(values) == notes(answer) != {}
    shopper = event_pb2.Shopper(visitor_id="v")
    listed = await shop.ask.List(pb.ListRequest(scene="earn", shopper=shopper), timeout=30)
    assert len(listed.results) == len(WINES)
    assert notes(listed) == notes(answer)
    assert [each.product.product_id for each in listed.results[:3]] == ["fair", "good", "best"]
    assert not any(each.product.HasField("cost") for each in listed.results)
    page = pb.ListRequest(scene="earn", shopper=shopper, page_size=len(WINES) - 1)
    page.page_token = (await shop.ask.List(page, timeout=30)).next_page_token
    last = await shop.ask.List(page, timeout=30)
    assert len(last.results) == 1
    assert notes(last, "objective") != notes(listed, "objective"), "each page has its own"
    plain = await shop.ask.List(pb.ListRequest(scene="earn"), timeout=30)
    assert not plain.score_notes, "without a shopper there are no scores"
    shelves = await shop.ask.RecommendShelves(
        pb.RecommendShelvesRequest(
            shopper=shopper,
            shelves=[
                pb.Shelf(shelf_id="best", recommend=pb.RecommendRequest(scene="earn", page_size=1)),
                pb.Shelf(shelf_id="all", list=pb.ListRequest(scene="earn")),
            ],
        ),
        timeout=30,
    )
    assert notes(shelves.shelves[0].recommend) == notes(answer)
    rest = shelves.shelves[1].list
    assert len(rest.results) == len(WINES) - 1
    assert notes(rest, "objective") == notes(listed, "objective")


async def test_a_changed_objective_is_compared_before_shoppers_see_it(shop: Shop) -> None:
    shopper = event_pb2.Shopper(visitor_id="v")
    request = pb.RecommendRequest(scene="label", shopper=shopper, page_size=10)
    answer = await shop.ask.Recommend(request, timeout=30)
    await replayed(shop, answer.attribution_token)
    asked = admin_service_pb2.DiffSceneRequest(scene="label", toml=OBJECTIVE)
    found = await shop.admin.DiffScene(asked, timeout=30)
    assert (found.answer_count, found.changed_count) == (1, 1)
    assert [(each.path, each.replayed) for each in found.changes] == [("objective_strength", True)]
    assert list(found.answers[0].after_product_ids)[:3] == ["fair", "good", "best"]
    assert not found.expected, "no chances were learned"


async def test_without_the_ranker_the_objective_is_not_applied_which_is_noted(shop: Shop) -> None:
    ranker = shop.behind.processes["ranker"]
    ranker.send_signal(signal.SIGSTOP)
    try:
        answer = await shop.ask.Recommend(pb.RecommendRequest(scene="earn"), timeout=3)
    finally:
        ranker.send_signal(signal.SIGCONT)
    assert notes(answer, "objective") == {("objective", NOTE.CAUSE_NOT_APPLIED): 0}
