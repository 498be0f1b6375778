"""Markets in every call of a gateway before a real retriever and ranker, and in its snapshot."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.wiring import Gateway
from sightline.common.v1 import answer_pb2, event_pb2, facet_pb2, filter_pb2, product_pb2
from sightline.gateway.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    control_pb2,
    recommendation_service_pb2_grpc,
)
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.waiting import SECONDS, until
from tests.wire.gateway_calls import ids, refused
from tests.wire.test_gateway_snapshot import Behind, behind, front, wine

pytestmark = pytest.mark.full

__all__ = ["behind"]  # fixtures
IN_STOCK, OUT = product_pb2.AVAILABILITY_IN_STOCK, product_pb2.AVAILABILITY_OUT_OF_STOCK
SOLD = {
    "": {"all": (10, "all"), "cheap": (30, "cheap"), "fr": (20, "fr"), "gone": (40, "gone")},
    "de": {"all": (10, "all"), "cheap": (5, "Günstig")},
    "fr": {"all": (10, "all"), "cheap": (30, "cheap"), "fr": (25, "fr"), "gone": (40, "gone")},
    "at": {"all": (10, "all")},
}
"""Products that can be bought in each market, with price and title."""


def there(market_id: str, euros: int = 0, **values: Any) -> product_pb2.MarketValues:
    made = product_pb2.MarketValues(market_id=market_id, **values)
    if euros:
        made.price.CopyFrom(wine("", "", euros, IN_STOCK).price)
    return made


def products() -> list[product_pb2.Product]:
    every = wine("all", "A", 10, IN_STOCK)
    cheap, fr = wine("cheap", "A", 30, IN_STOCK), wine("fr", "B", 20, IN_STOCK)
    cheap.markets.extend([there("de", 5, title="Günstig", language_code="de"), there("fr")])
    fr.markets.append(there("fr", 25))
    gone = wine("gone", "B", 40, IN_STOCK)
    gone.markets.extend([there("fr"), there("de", availability=OUT)])
    return [every, cheap, fr, gone]


def within(market_id: str, text: str = "") -> filter_pb2.Filter:
    return filter_pb2.Filter(market_id=market_id, **({"text": text} if text else {}))


@dataclass
class Shop:
    """A gateway whose record and snapshot hold the products."""

    gateway: Gateway
    ask: recommendation_service_pb2_grpc.RecommendationServiceStub
    catalog: catalog_service_pb2_grpc.CatalogServiceStub


@pytest.fixture
async def shop(behind: Behind, tmp_path: Path) -> AsyncIterator[Shop]:
    async with front(behind, tmp_path / "kept") as (gateway, channel):
        catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)

        async def written() -> bool:
            request = catalog_service_pb2.UpsertProductsRequest(products=products())
            try:
                answer = await catalog.UpsertProducts(request, timeout=5)
            except grpc.aio.AioRpcError:
                return False  # it starts
            assert [each.status.message for each in answer.results] == [""] * 4
            return True

        def held() -> bool:
            copy = gateway.snapshots.get("default")
            return copy is not None and len(copy.rows) == 4

        await until(written)
        await until(held)
        recommendation = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)
        yield Shop(gateway, recommendation, catalog)


def seen(results: Any) -> dict[str, tuple[int, str]]:
    """Return price and title of each product; none has the values of other markets."""
    found = [each.product for each in results]
    assert not any(product.markets for product in found)
    return {each.product_id: (each.price.units, each.title) for each in found}


@pytest.mark.parametrize("market_id", SOLD)
async def test_answers_have_the_products_and_the_values_of_their_market(
    shop: Shop, market_id: str
) -> None:
    asked, expected = within(market_id), SOLD[market_id]
    ann = event_pb2.Shopper(user_id="ann")
    answer = await shop.ask.Recommend(pb.RecommendRequest(filter=asked, shopper=ann))
    assert seen(answer.results) == expected
    listed = await shop.ask.List(
        pb.ListRequest(
            filter=asked, sort=pb.SORT_PRICE_RISING, facets=[facet_pb2.FacetRequest(field="price")]
        )
    )
    assert seen(listed.results) == expected
    assert [each.product.product_id for each in listed.results] == sorted(
        expected, key=lambda name: expected[name][0]
    )
    words = pb.QuerySignal(text="all cheap")
    found = await shop.ask.Search(pb.SearchRequest(signals=[words], filter=asked))
    assert seen(found.results) == {
        name: value for name, value in expected.items() if name in ("all", "cheap")
    }
    values = await shop.ask.RecommendValues(
        pb.RecommendValuesRequest(request=pb.RecommendRequest(filter=asked), field="brand")
    )
    within_values = [item for value in values.values for item in value.products]
    assert seen(within_values) == expected
    shelf = pb.Shelf(shelf_id="s", list=pb.ListRequest(filter=asked, sort=pb.SORT_PRICE_FALLING))
    shelves = await shop.ask.RecommendShelves(pb.RecommendShelvesRequest(shelves=[shelf]))
    assert seen(shelves.shelves[0].list.results) == expected
    rank = pb.RecommendRequest(
        filter=asked, candidates=[pb.GivenCandidate(product_id=each) for each in SOLD[""]]
    )
    assert seen((await shop.ask.Recommend(rank)).results) == expected


async def test_filters_controls_and_explanations_are_about_the_market(shop: Shop) -> None:
    cheap = await shop.ask.Recommend(pb.RecommendRequest(filter=within("de", "price < 8 EUR")))
    assert seen(cheap.results) == {"cheap": (5, "Günstig")}
    sold_out = pb.RecommendRequest(filter=within("de", "availability = OUT_OF_STOCK"))
    assert ids(await shop.ask.Recommend(sold_out)) == ["gone"]
    for text, expected in (("price < 8 EUR", ["all"]), ("title:günstig", ["all"])):
        control = control_pb2.Control(
            name="c",
            kind=control_pb2.Control.KIND_EXCLUDE,
            filter=filter_pb2.Filter(text=text),
        )
        answer = await shop.ask.Recommend(
            pb.RecommendRequest(filter=within("de"), controls=[control])
        )
        assert ids(answer) == expected
    boost = control_pb2.Control(
        name="c",
        kind=control_pb2.Control.KIND_BOOST,
        boost=10,
        filter=filter_pb2.Filter(text="title:günstig"),
    )
    first = await shop.ask.Recommend(pb.RecommendRequest(filter=within("de"), controls=[boost]))
    assert ids(first)[0] == "cheap"
    explained = await shop.ask.ExplainRecommendation(
        pb.ExplainRecommendationRequest(
            request=pb.RecommendRequest(filter=within("de")), product_id="fr"
        )
    )
    assert explained.outcome == pb.ExplainRecommendationResponse.OUTCOME_FILTERED
    assert explained.rejection.path == "filter.market_id"
    placed = await shop.ask.ExplainRecommendation(
        pb.ExplainRecommendationRequest(
            request=pb.RecommendRequest(filter=within("de")), product_id="cheap"
        )
    )
    assert (placed.product.title, placed.product.price.units) == ("Günstig", 5)


async def test_a_fault_of_a_filter_in_a_market_keeps_its_path(shop: Shop) -> None:
    wrong = filter_pb2.Filter(market_id="de", existence=filter_pb2.Existence(field="colour"))
    error = await refused(shop.ask.Recommend(pb.RecommendRequest(filter=wrong)))
    assert (error.reason, error.violations[0].field) == (
        "FILTER_INVALID",
        "filter.existence.field",
    )
    given, words = within("Germany"), [pb.QuerySignal(text="all")]
    for call in (
        shop.ask.Recommend(pb.RecommendRequest(filter=given)),
        shop.ask.List(pb.ListRequest(filter=given)),
        shop.ask.Search(pb.SearchRequest(filter=given, signals=words)),
    ):
        error = await refused(call)
        assert (error.reason, error.violations[0].field) == ("FILTER_INVALID", "filter.market_id")


async def test_a_page_and_its_etag_are_of_one_market(shop: Shop) -> None:
    one = await shop.ask.Recommend(pb.RecommendRequest(filter=within("fr"), page_size=2))
    token = one.next_page_token
    two = await shop.ask.Recommend(
        pb.RecommendRequest(filter=within("fr"), page_size=2, page_token=token)
    )
    assert seen([*one.results, *two.results]) == SOLD["fr"]
    other = pb.RecommendRequest(filter=within("de"), page_size=2, page_token=token)
    assert (await refused(shop.ask.Recommend(other))).reason == "PAGE_TOKEN_INVALID"
    listed = await shop.ask.List(pb.ListRequest(filter=within("fr")))
    same = pb.ListRequest(filter=within("fr"), if_none_match=listed.etag)
    assert (await shop.ask.List(same)).not_modified
    same.filter.market_id = "de"
    assert not (await shop.ask.List(same)).not_modified


async def test_a_replay_is_exact_after_the_prices_of_the_market_changed(shop: Shop) -> None:
    answer = await shop.ask.Recommend(pb.RecommendRequest(filter=within("de")))
    changed = catalog_service_pb2.UpdateOffersRequest(
        market_id="de",
        offers=[catalog_service_pb2.Offer(product_id="cheap", price=products()[0].price)],
    )
    assert not (await shop.catalog.UpdateOffers(changed)).statuses[0].code
    replayed = await until_recorded(shop, answer.attribution_token)
    assert replayed.equal
    recorded = [each.recorded.product_id for each in replayed.places if each.recorded.product_id]
    assert recorded == ids(answer)
    again = await shop.ask.Recommend(pb.RecommendRequest(filter=within("de")))
    assert seen(again.results)["cheap"] == (10, "Günstig")


async def until_recorded(shop: Shop, token: str) -> pb.ReplayRecommendationResponse:
    found: list[pb.ReplayRecommendationResponse] = []

    async def there_is() -> bool:
        try:
            request = pb.ReplayRecommendationRequest(attribution_token=token)
            found.append(await shop.ask.ReplayRecommendation(request))
        except grpc.aio.AioRpcError:
            return False
        return True

    await until(there_is)
    return found[0]


async def test_products_are_read_and_listed_by_market(shop: Shop) -> None:
    get, request = shop.catalog.GetProduct, catalog_service_pb2.GetProductRequest
    whole = await get(request(product_id="cheap"))
    assert [each.market_id for each in whole.markets] == ["de", "fr"]
    german = await get(request(product_id="cheap", market_id="de"))
    assert (german.title, german.language_code, len(german.markets)) == ("Günstig", "de", 0)
    error = await refused(get(request(product_id="fr", market_id="de")))
    assert error.reason == "PRODUCT_NOT_FOUND"
    listed = await shop.catalog.ListProducts(
        catalog_service_pb2.ListProductsRequest(filter=within("de"))
    )
    assert {each.product_id for each in listed.products} == {"all", "cheap", "gone"}
    wrong = catalog_service_pb2.ListProductsRequest(filter=within("DE"))
    assert (await refused(shop.catalog.ListProducts(wrong))).reason == "FILTER_INVALID"


async def test_the_snapshot_knows_the_markets(shop: Shop, behind: Behind) -> None:
    behind.signal(signal.SIGKILL)
    for market_id, expected in SOLD.items():
        request = pb.RecommendRequest(filter=within(market_id))
        answer = await shop.ask.Recommend(request, timeout=SECONDS)
        assert answer.quality == answer_pb2.ANSWER_QUALITY_SNAPSHOT
        assert seen(answer.results) == expected
    cheap = pb.RecommendRequest(filter=within("de", "price < 8 EUR"))
    assert ids(await shop.ask.Recommend(cheap, timeout=SECONDS)) == ["cheap"]
