"""Suggestions over real gRPC: of the retriever, and the ranker's past searches."""

from __future__ import annotations

from ranker.events.searches import COUNT_SECONDS
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import event_service_pb2 as events_pb
from sightline.retriever.v1 import keyword_service_pb2 as keywords_pb
from tests.wire.ranker_suite import Suite, event, suite
from tests.wire.retriever_shop import Shop, exact_rows, refused, shop, wine

__all__ = ["exact_rows", "shop", "suite"]  # fixtures


async def suggested(shop: Shop, prefix: str, **fields) -> keywords_pb.SuggestTextsResponse:
    request = keywords_pb.SuggestTextsRequest(prefix=prefix, **fields)
    return await shop.words.SuggestTexts(request)


async def test_a_catalog_suggests_words_values_and_products(shop: Shop) -> None:
    await shop.upsert(
        wine("a", title="Château Margaux", brand="Margaux", tags=["grand cru"]),
        wine("b", title="Chateau Latour", brand="Latour", tags=["grand cru"]),
    )
    found = await suggested(shop, "marg")
    (value,) = found.facet_values
    assert (value.text, value.product_count, value.field) == ("Margaux", 1, "brand")
    assert value.filter.comparison.value.text == "Margaux"
    assert value.filter_text == 'brand = "Margaux"'
    (product,) = found.products
    assert (product.product_id, list(product.starts), list(product.ends)) == ("a", [8], [12])
    found = await suggested(shop, "chateau lat")
    assert [(each.text, each.product_count) for each in found.completions] == [
        ("chateau latour", 1)
    ]
    found = await suggested(shop, "grand")
    assert [(each.text, each.product_count) for each in found.completions] == [("grand cru", 2)]
    found = await suggested(shop, "margux")
    assert found.corrected
    assert [each.product_id for each in found.products] == ["a"]
    assert (await suggested(shop, "")) == keywords_pb.SuggestTextsResponse()


async def test_products_are_counted_by_the_words_of_texts(shop: Shop) -> None:
    await shop.upsert(wine("a", title="Merlot dry"), wine("b", title="Merlot"))
    texts = ["merlot", "dry blue", "sake", "--"]
    request = keywords_pb.CountKeywordsRequest(texts=texts)
    found = await shop.words.CountKeywords(request)
    assert list(found.product_counts) == [2, 1, 0, 0]
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "texts"):
        await shop.words.CountKeywords(keywords_pb.CountKeywordsRequest())
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "texts[1]"):
        request = keywords_pb.CountKeywordsRequest(texts=["a", "x" * 513])
        await shop.words.CountKeywords(request)


async def test_suggestions_out_of_range_are_refused(shop: Shop) -> None:
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "prefix"):
        await suggested(shop, "x" * 257)
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "page_size"):
        await suggested(shop, "x", page_size=21)
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND", "catalog_id"):
        await suggested(shop, "x", catalog_id="unknown")


async def search(suite: Suite, who: str, text: str) -> None:
    one = event("", "SEARCH", query=text)
    one.event_id = f"{who}-{text}"
    one.shopper.CopyFrom(event_pb2.Shopper(user_id=who))
    answer = await suite.append(one)
    assert answer.statuses[0].code == 0


async def test_searches_of_too_few_shoppers_are_not_listed(suite: Suite) -> None:
    for number in range(20):
        await search(suite, f"shopper-{number}", "Red  Wine")
        await search(suite, "one", f"red wine {number}")
    for number in range(19):
        await search(suite, f"shopper-{number}", "secret")
    found = await suite.events.ListSearches(events_pb.ListSearchesRequest())
    assert [(each.text, each.shopper_count) for each in found.searches] == [("red wine", 20)]
    assert found.least_shoppers == 20
    assert found.count_time.ToMicroseconds() > COUNT_SECONDS * 1e6
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "limit"):
        await suite.events.ListSearches(events_pb.ListSearchesRequest(limit=10_001))
