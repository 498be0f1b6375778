"""Listings of the wines: every product once, sorted as a whole, with facets, for a shopper too."""

from typing import Unpack

import grpc

from sightline.common.v1.filter_pb2 import Filter
from sightline.gateway.v1.recommendation_service_pb2 import ListRequest
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline_client import Availability, F, Listing, ListOptions, SightlineClient, Sort, money
from sightline_client.convert import to_wire


async def pages(client: SightlineClient, **options: Unpack[ListOptions]) -> list[Listing]:
    return [page async for page in client.listing_pages(**options)]


def names(listed: list[Listing]) -> list[str]:
    return [item.product.product_id for page in listed for item in page.results]


async def test_a_category_page_is_sorted_as_a_whole_and_counted(client: SightlineClient) -> None:
    red = F.category == "Red"
    whole = {
        item.product_id
        async for item in client.list_products(filter=red)
        if item.availability is not Availability.OUT_OF_STOCK
    }
    listed = await pages(client, filter=red, sort=Sort.BRAND, page_size=7, facets=["brand"])
    assert sorted(names(listed)) == sorted(whole)
    brands = [item.product.brand.casefold() for page in listed for item in page.results]
    assert brands == sorted(brands)
    assert {page.product_count for page in listed} == {len(whole)}
    (facet,) = listed[0].facets
    assert sum(value.product_count for value in facet.values) + facet.missing_count <= len(whole)
    ranks = [item.rank for page in listed for item in page.results]
    assert ranks == list(range(1, len(whole) + 1))


async def test_a_text_lists_the_products_that_have_its_words(client: SightlineClient) -> None:
    found = await client.listing(text="merlot", page_size=50, sort=Sort.NEWEST)
    assert found.product_count == len(found.results) > 0
    assert not found.degradations


async def test_a_text_orders_its_products_by_relevance(client: SightlineClient) -> None:
    one = await client.listing(text="merlot", page_size=200)
    listed = await pages(client, text="merlot", sort=Sort.RELEVANCE, page_size=3)
    assert names(listed) == names([one])
    titled = ["merlot" in item.product.title.casefold() for item in one.results]
    assert titled == sorted(titled, reverse=True), "a title counts more than a grape"
    assert {*titled} == {True, False}


async def test_popular_products_come_first_and_the_page_is_ordered_for_a_shopper(
    client: SightlineClient,
) -> None:
    plain = await client.listing(page_size=20)
    own = await client.listing(page_size=20, user="1209683", explain=True)
    assert sorted(names([plain])) == sorted(names([own]))
    assert own.attribution_token
    assert all(item.parts for item in own.results)
    assert any(item.reasons for item in own.results), "without a cause a product has no reason"
    assert (plain.attribution_token, own.etag) == ("", "")
    priced = await client.listing(page_size=20, user="1209683", sort=Sort.NEWEST)
    newest = await client.listing(page_size=20, sort=Sort.NEWEST)
    assert names([priced]) == names([newest])


async def test_an_unchanged_page_is_not_sent_again(client: SightlineClient) -> None:
    page = await client.listing(sort=Sort.RATING)
    again = await client.listing(sort=Sort.RATING, if_none_match=page.etag)
    assert (again.not_modified, again.results) == (True, ())


async def test_a_text_is_its_expression_in_tokens_and_etags(
    gateway: str, client: SightlineClient
) -> None:
    written = Filter(text="category = Red AND price < 30 EUR")
    expressed = to_wire.filter_((F.category == "Red") & (F.price < money(30, "EUR")))
    async with grpc.aio.insecure_channel(gateway) as channel:
        lists = RecommendationServiceStub(channel).List
        first = await lists(ListRequest(filter=written, page_size=5))
        same = await lists(ListRequest(filter=expressed, page_size=5))
        assert (first.etag, first.product_count) == (same.etag, same.product_count)
        one, other = [
            await lists(ListRequest(filter=each, page_size=5, page_token=first.next_page_token))
            for each in (written, expressed)
        ]
        outside = await lists(ListRequest(filter=Filter(**{"not": written}), page_size=5))
    assert list(one.results) == list(other.results) != list(first.results)
    whole = await client.listing(page_size=5)
    assert outside.product_count == whole.product_count - first.product_count
