"""Markets over real gRPC, on real SQLite: the values of a market in every read, on both routes of a
search, and requests of clients that know no market."""

from __future__ import annotations

from typing import Any

import pytest
from google.type import money_pb2

from servicekit.status import from_status
from sightline.common.v1 import facet_pb2, filter_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import product_service_pb2 as pb
from tests.wire.retriever_shop import (
    Shop,
    compare,
    either_way,
    exact_rows,
    refused,
    shop,
    text,
    wine,
)

__all__ = ["exact_rows", "shop"]  # fixtures
IN_STOCK, OUT = product_pb2.AVAILABILITY_IN_STOCK, product_pb2.AVAILABILITY_OUT_OF_STOCK
NEWEST = pb.ListProductsRequest.ORDER_NEWEST


def euros(units: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code="EUR", units=units)


def there(market_id: str, price: int = 0, **values: Any) -> product_pb2.MarketValues:
    money = euros(price) if price else None
    return product_pb2.MarketValues(market_id=market_id, price=money, **values)


def bottle(product_id: str, *markets: product_pb2.MarketValues, price: int) -> product_pb2.Product:
    made = wine(product_id, price)
    made.price.CopyFrom(euros(price))
    made.title = f"Wine {product_id}"
    made.markets.extend(markets)
    return made


async def stocked(shop: Shop) -> str:
    """Write the products of the tests; return the index token."""
    german = there(
        "de", 5, title="Rotwein", description="Trocken", language_code="de", uri="https://x.de/1"
    )
    answer = await shop.upsert(
        bottle("everywhere", price=10),
        bottle("de-fr", german, there("fr"), price=20),
        bottle("fr", there("fr", 30, availability=OUT), price=40),
    )
    assert [result.status.code for result in answer.results] == [0, 0, 0]
    return answer.index_token


def within(market_id: str, condition: filter_pb2.Filter | None = None) -> filter_pb2.Filter:
    made = filter_pb2.Filter()
    if condition is not None:
        made.CopyFrom(condition)
    made.market_id = market_id
    return made


def below(units: int) -> filter_pb2.Filter:
    return compare("price", filter_pb2.FilterValue(money=euros(units)), "LESS")


@either_way
async def test_a_search_finds_what_a_market_sells_at_its_prices(shop: Shop) -> None:
    token = await stocked(shop)
    found = await shop.seen(token, filter=within("de"))
    columns = found.candidates
    prices = dict(zip(columns.product_ids, columns.price_micros, strict=True))
    assert prices == {"everywhere": 10_000_000, "de-fr": 5_000_000}
    cheap = await shop.seen(token, filter=within("de", below(8)))
    assert list(cheap.candidates.product_ids) == ["de-fr"]
    french = await shop.seen(token, filter=within("fr"))
    states = dict(zip(french.candidates.product_ids, french.candidates.availabilities, strict=True))
    assert states == {"everywhere": IN_STOCK, "de-fr": IN_STOCK, "fr": OUT}
    words = await shop.find("wine", filter=within("at"))
    assert list(words.candidates.product_ids) == ["everywhere"]


async def test_old_requests_see_what_they_saw_before(shop: Shop) -> None:
    token = await stocked(shop)
    found = (await shop.seen(token)).candidates
    prices = dict(zip(found.product_ids, found.price_micros, strict=True))
    assert prices == {"everywhere": 10_000_000, "de-fr": 20_000_000, "fr": 40_000_000}
    held = await shop.products.BatchGetProducts(
        pb.BatchGetProductsRequest(product_ids=["de-fr"], filter=below(30))
    )
    (product,) = held.products
    assert (product.title, product.price.units, len(product.markets)) == ("Wine de-fr", 20, 2)
    # A client that knows no markets reads and writes: as with every field of a later release that
    # its messages keep, the markets stay.
    again = await shop.upsert(product)
    assert again.results[0].status.code == 0
    assert len((await read(shop, "de-fr")).markets) == 2
    update = gateway_pb.ProductUpdate(product=product_pb2.Product(product_id="de-fr", title="New"))
    await shop.products.UpdateProducts(gateway_pb.UpdateProductsRequest(updates=[update]))
    changed = await read(shop, "de-fr")
    assert (changed.title, len(changed.markets)) == ("New", 2)


async def read(shop: Shop, product_id: str, market_id: str = "") -> product_pb2.Product:
    answer = await shop.products.BatchGetProducts(
        pb.BatchGetProductsRequest(product_ids=[product_id], filter=within(market_id))
    )
    (product,) = answer.products
    return product


async def test_products_are_read_with_the_values_of_a_market(shop: Shop) -> None:
    await stocked(shop)
    german = await read(shop, "de-fr", "de")
    assert (german.title, german.description, german.language_code, german.uri) == (
        *("Rotwein", "Trocken", "de", "https://x.de/1"),
    )
    assert (german.price.units, len(german.markets), german.etag) == (5, 0, "")
    french = await read(shop, "de-fr", "fr")
    assert (french.title, french.price.units) == ("Wine de-fr", 20)
    answer = await shop.products.BatchGetProducts(
        pb.BatchGetProductsRequest(
            product_ids=["fr", "de-fr"],
            filter=within("de", compare("title", text("rot"), "CONTAINS")),
            title_product_ids=["de-fr"],
            explain_filter=True,
        )
    )
    assert [each.product_id for each in answer.products] == ["de-fr"]
    assert list(answer.titles) == ["Rotwein"]
    assert [(each.product_id, each.path) for each in answer.rejections] == [
        ("fr", "filter.comparison")
    ]
    gone = await shop.products.BatchGetProducts(
        pb.BatchGetProductsRequest(product_ids=["fr"], filter=within("de"), explain_filter=True)
    )
    (why,) = gone.rejections
    assert (why.path, why.condition, list(why.held)) == (
        *("filter.market_id", 'market = "de"', ["market: fr"]),
    )
    listed = await shop.products.ListProducts(pb.ListProductsRequest(filter=within("de")))
    assert {each.product_id: each.price.units for each in listed.products} == {
        "everywhere": 10,
        "de-fr": 5,
    }


async def test_listings_are_sorted_and_counted_by_the_values_of_a_market(shop: Shop) -> None:
    await stocked(shop)
    request = pb.BrowseProductsRequest(
        filter=within("de"),
        order="PRICE_RISING",
        page_size=10,
        facets=[facet_pb2.FacetRequest(field="price")],
    )
    german = await shop.products.BrowseProducts(request)
    assert [(each.product_id, each.title) for each in german.products] == [
        ("de-fr", "Rotwein"),
        ("everywhere", "Wine everywhere"),
    ]
    (facet,) = german.facets
    counted = {value.text: value.product_count for value in facet.values if value.product_count}
    assert counted == {"5–10 EUR": 1, "10 EUR and more": 1}
    assert "@" not in str(facet)
    request.ClearField("filter")
    plain = await shop.products.BrowseProducts(request)
    assert [each.product_id for each in plain.products] == ["everywhere", "de-fr", "fr"]
    request.filter.CopyFrom(within("fr"))
    request.page_size = 1
    first = await shop.products.BrowseProducts(request)
    request.page_token = first.next_page_token
    assert (await shop.products.BrowseProducts(request)).products[0].product_id == "de-fr"
    request.filter.CopyFrom(within("de"))
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await shop.products.BrowseProducts(request)
    counts = await shop.products.CountFacets(
        pb.CountFacetsRequest(
            filter=within("fr"), facets=[facet_pb2.FacetRequest(field="availability")]
        )
    )
    (facet,) = counts.facets
    assert {value.text: value.product_count for value in facet.values} == {
        "IN_STOCK": 2,
        "OUT_OF_STOCK": 1,
    }


@either_way
async def test_a_text_finds_products_by_their_titles_in_the_market(shop: Shop) -> None:
    await stocked(shop)
    sold = {"de": ["de-fr"], "fr": [], "at": [], "": []}
    for market_id, expected in sold.items():
        found = await shop.find("rotwein", filter=within(market_id))
        assert list(found.candidates.product_ids) == expected, market_id
        listed = await shop.products.BrowseProducts(
            pb.BrowseProductsRequest(
                filter=within(market_id), text="rotwein", order="RELEVANCE", page_size=10
            )
        )
        assert [each.product_id for each in listed.products] == expected, market_id


async def test_offers_of_one_market_change_its_values_alone(shop: Shop) -> None:
    await stocked(shop)
    answer = await shop.products.UpdateOffers(
        gateway_pb.UpdateOffersRequest(
            market_id="de",
            offers=[
                gateway_pb.Offer(product_id="de-fr", price=euros(7), availability=OUT),
                gateway_pb.Offer(product_id="everywhere", price=euros(7)),
                gateway_pb.Offer(product_id="fr", price=euros(7)),
            ],
        )
    )
    reasons = [from_status(each).reason if each.code else "" for each in answer.statuses]
    assert reasons == ["", "MARKET_NOT_FOUND", "MARKET_NOT_FOUND"]
    german = await read(shop, "de-fr", "de")
    assert (german.price.units, german.availability, german.title) == (7, OUT, "Rotwein")
    own = await read(shop, "de-fr")
    assert (own.price.units, own.availability) == (20, IN_STOCK)
    wrong = await shop.products.UpdateOffers(
        gateway_pb.UpdateOffersRequest(
            market_id="DE", offers=[gateway_pb.Offer(product_id="de-fr")]
        )
    )
    assert from_status(wrong.statuses[0]).reason == "OFFER_INVALID"


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("markets", "field"),
    [
        ([there("DE")], "markets[0].market_id"),
        ([there("de"), there("de")], "markets[1].market_id"),
        ([there("de", title="x" * 513)], "markets[0].title"),
        ([there("de", uri="ftp://x")], "markets[0].uri"),
        ([there("de", availability=99)], "markets[0].availability"),
        ([there(f"m{number}") for number in range(65)], "markets"),
    ],
)
async def test_invalid_markets_are_rejected_with_their_path(
    shop: Shop, markets: list[product_pb2.MarketValues], field: str
) -> None:
    (result,) = (await shop.upsert(bottle("x", *markets, price=1))).results
    error = from_status(result.status)
    assert error.reason == "PRODUCT_INVALID"
    assert [each.field for each in error.violations] == [f"products[0].{field}"]


async def test_a_catalog_has_at_most_64_markets(shop: Shop) -> None:
    many = [there(f"m{number}") for number in range(64)]
    answer = await shop.upsert(
        bottle("full", *many, price=1), bottle("more", there("one-more"), price=2)
    )
    assert answer.results[0].status.code == 0
    error = from_status(answer.results[1].status)
    assert [each.field for each in error.violations] == ["products[1].markets"]
    again = await shop.upsert(bottle("other", there("m1"), price=3))
    assert again.results[0].status.code == 0


async def test_a_market_is_named_once_by_the_outermost_filter(shop: Shop) -> None:
    inner = filter_pb2.Filter(all=filter_pb2.FilterList(filters=[within("de")]))
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.all.filters[0].market_id"):
        await shop.products.ListProducts(pb.ListProductsRequest(filter=inner))
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.market_id"):
        await shop.products.ListProducts(pb.ListProductsRequest(filter=within("not an id")))
    named = compare("price@de", filter_pb2.FilterValue(money=euros(1)))
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.field"):
        await shop.products.ListProducts(pb.ListProductsRequest(filter=named))


async def test_a_filter_asks_where_a_product_is_sold(shop: Shop) -> None:
    await stocked(shop)
    listed = await shop.products.ListProducts(
        pb.ListProductsRequest(filter=compare("market", text("de")))
    )
    assert {each.product_id: each.price.units for each in listed.products} == {
        "everywhere": 10,
        "de-fr": 20,
    }
