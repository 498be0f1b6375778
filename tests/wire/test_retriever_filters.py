"""Filters over real gRPC, on real SQLite and a real Milvus Lite process."""

from __future__ import annotations

from typing import Any

import pytest
from google.type import money_pb2

from retriever.adapters.milvus import filters
from retriever.columns.column_cache import Columns
from retriever.domain.collection_names import shaped
from retriever.domain.errors import ColumnsUnavailable
from retriever.domain.index_values import CollectionState
from retriever.search import facets
from sightline.common.v1 import facet_pb2, filter_pb2, product_pb2
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline_rules.filters import All
from tests.fakes.photos import photo
from tests.waiting import until
from tests.wire.retriever_shop import (
    PRICE,
    Shop,
    by_the_engine,
    compare,
    exact_rows,
    reason,
    refused,
    shop,
    text,
    vector,
    wine,
)

__all__ = ["exact_rows", "shop"]  # fixtures
POUNDS = money_pb2.Money(currency_code="GBP", units=20)


async def test_filters_that_can_not_be_evaluated_are_refused_with_their_path(shop: Shop) -> None:
    unknown = filter_pb2.Filter(
        all=filter_pb2.FilterList(
            filters=[compare("brand", text("x")), compare("colour", text("red"))]
        )
    )
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.all.filters[1].comparison.field"):
        await shop.products.ListProducts(products_pb.ListProductsRequest(filter=unknown))
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.operator"):
        await shop.search(product_id="a", filter=compare("brand", text("x"), "LESS"))
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.value"):
        await shop.search(product_id="a", filter=compare("price", text("12")))


HOSTILE = (
    "it's",
    'say "hi"',
    "back\\slash",
    '\\"',
    "ends with \\",
    '" or 1 == 1 or brand == "',
    "') or seq != 0 --",
    "%",
    "_",
    "{brand}",
    "null",
    "日本酒",
    "line\u2028separator",
)


async def test_hostile_filter_values_match_literally(shop: Shop) -> None:
    products = [
        wine(f"p{n}", n + 1, brand=value, tags=[value], category_path=["Wine", value])
        for n, value in enumerate(HOSTILE)
    ]
    written = await shop.upsert(*products, wine("plain", 99))
    assert {reason(result.status) for result in written.results} == {"OK"}
    await shop.seen(written.index_token)
    for product in products:
        value = product.brand
        for condition in (
            compare("brand", text(value)),
            compare("tags", text(value)),
            compare("category", text(f"Wine > {value}")),
        ):
            found = await shop.search(vector=vector(photo()), filter=condition)
            assert list(found.candidates.product_ids) == [product.product_id], value


def attribute(key: str, **value: Any) -> product_pb2.Attribute:
    return product_pb2.Attribute(key=key, **value)


def any_of(*parts: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(any=filter_pb2.FilterList(filters=parts))


def negated(part: filter_pb2.Filter) -> filter_pb2.Filter:
    message = filter_pb2.Filter()
    getattr(message, "not").CopyFrom(part)
    return message


def exists(field: str) -> filter_pb2.Filter:
    return filter_pb2.Filter(existence=filter_pb2.Existence(field=field))


MERLOT = compare("attributes.grape", text("Merlot"))
OLD = compare("attributes.vintage", filter_pb2.FilterValue(number=2015), "LESS_OR_EQUAL")
ASKED = {
    "old": OLD,
    "old or merlot": any_of(OLD, MERLOT),
    "no merlot": negated(MERLOT),
    "another grape": compare("attributes.grape", text("Merlot"), "NOT_EQUAL"),
    "no vintage": negated(exists("attributes.vintage")),
    "organic": compare("attributes.organic", filter_pb2.FilterValue(flag=True)),
    "a reserve": compare("title", text("réserve"), "CONTAINS"),
    "neither": negated(any_of(OLD, MERLOT)),
    "no price": negated(exists("price")),
}
FOUND = {
    "old": {"old", "blend"},
    "old or merlot": {"old", "blend", "merlot"},
    "no merlot": {"old", "plain"},
    "another grape": {"old"},
    "no vintage": {"merlot", "plain"},
    "organic": {"blend"},
    "a reserve": {"old"},
    "neither": {"plain"},
    "no price": {"plain"},
}


async def some_wines(shop: Shop) -> None:
    grape = [attribute("grape", text=name) for name in ("Merlot", "Syrah")]
    written = await shop.upsert(
        wine(
            "old",
            1,
            title="Grande RÉSERVE",
            attributes=[grape[1], attribute("vintage", number=1999.5)],
        ),
        wine(
            "blend",
            2,
            attributes=[*grape, attribute("vintage", number=2015), attribute("organic", flag=True)],
        ),
        wine("merlot", 3, attributes=[grape[0], attribute("organic", flag=False)]),
        wine("plain", 4, price=None),
    )
    assert {reason(result.status) for result in written.results} == {"OK"}
    await shop.seen(written.index_token)


async def found(shop: Shop) -> dict[str, set[str]]:
    answers = {
        name: await shop.search(vector=vector(photo()), filter=condition)
        for name, condition in ASKED.items()
    }
    return {name: set(answer.candidates.product_ids) for name, answer in answers.items()}


async def test_filters_join_negate_and_ask_for_attributes(shop: Shop) -> None:
    await some_wines(shop)
    assert await found(shop) == FOUND
    for name, condition in ASKED.items():
        request = products_pb.ListProductsRequest(filter=condition)
        listed = await shop.products.ListProducts(request)
        assert {product.product_id for product in listed.products} == FOUND[name]
    bad = any_of(OLD, negated(compare("attributes.a", text("x"), "GREATER")))
    with refused(
        "INVALID_ARGUMENT", "FILTER_INVALID", "filter.any.filters[1].not.comparison.operator"
    ):
        await shop.search(product_id="a", filter=bad)


@pytest.mark.full
@by_the_engine
async def test_an_index_without_attributes_is_searched_until_one_with_them_is_built(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_wines(shop)
    await shop.stop_worker()
    made = await shop.record.generation("default", "visual")
    assert made is not None
    former = shaped(made.collection, 1)
    columns = filters.columns
    known = [name for name in filters.COLUMNS if name not in filters.ATTRIBUTE]
    with monkeypatch.context() as patch:
        patch.setattr(filters, "COLUMNS", known)
        patch.setattr(filters, "columns", lambda facts: {k: columns(facts)[k] for k in known})
        await shop.index.create(former, made.dimension)
        rows = await shop.record.rows(made, ["old", "blend", "merlot", "plain"])
        await shop.index.upsert(former, rows)
    await shop.index.drop(made.collection)
    await shop.record.mark(made, collection=former)
    assert await found(shop) == FOUND
    photos = len(shop.embedder.calls)
    monkeypatch.setattr("retriever.workers.collection_loop.FORMER_SECONDS", 0.5)
    shop.start_worker()

    async def former_gone() -> bool:
        return await shop.index.state(former) is CollectionState.ABSENT

    async def reshaped() -> bool:
        now = await shop.record.generation("default", "visual")
        return now is not None and now.collection == made.collection

    await until(reshaped)
    assert await found(shop) == FOUND
    assert await shop.index.count(made.collection) == len(rows)
    assert len(shop.embedder.calls) == photos
    await until(former_gone)
    assert await found(shop) == FOUND


async def test_columns_and_filtered_products_are_distinguished(shop: Shop) -> None:
    await shop.upsert(wine("red"), wine("white", category_path=["Wine", "White"]))
    answer = await shop.products.BatchGetProducts(
        products_pb.BatchGetProductsRequest(
            product_ids=["white", "nobody", "red"],
            filter=compare("category", text("Wine > Red")),
            view=products_pb.PRODUCT_VIEW_COLUMNS,
        )
    )
    assert list(answer.columns.product_ids) == ["red"]
    assert list(answer.missing_product_ids) == ["nobody"]
    assert list(answer.filtered_product_ids) == ["white"]
    assert list(answer.columns.category_paths) == ["Wine > Red"]


async def test_facets_count_what_passes_and_their_filters_find_it(shop: Shop) -> None:
    await shop.upsert(
        wine("a", brand="Aurora", category_path=["Wine", "Red"]),
        wine("b", brand="Aurora", category_path=["Wine", "White"]),
        wine("c", brand="Miolo", category_path=["Wine", "Red"]),
        wine("c1", brand="Miolo", category_path=["Wine", "Red"], parent_id="c"),
        wine("d", brand="", category_path=["Beer"]),
    )
    asked = [
        facet_pb2.FacetRequest(field="brand"),
        facet_pb2.FacetRequest(field="category", category_path=["Wine"]),
        facet_pb2.FacetRequest(field="price"),
    ]
    answer = await shop.products.CountFacets(products_pb.CountFacetsRequest(facets=asked))
    assert answer.product_count == 4, "variants are one product"
    brands, wines, prices = answer.facets
    assert {each.text: each.product_count for each in brands.values} == {"Aurora": 2, "Miolo": 1}
    assert brands.missing_count == 1
    assert [(each.text, each.filter_text) for each in wines.values] == [
        ("Wine > Red", 'category = "Wine > Red"'),
        ("Wine > White", 'category = "Wine > White"'),
    ]
    assert [each.text for each in prices.values] == ["10 EUR and more"]
    for value in (*brands.values, *wines.values, *prices.values):
        again = products_pb.CountFacetsRequest(filter=value.filter, facets=asked[:1])
        counted = await shop.products.CountFacets(again)
        assert counted.product_count == value.product_count, value.text


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"field": "colour"}, "facets[0].field"),
        ({"field": "title"}, "facets[0].field"),
        ({"field": "brand", "top_k": 201}, "facets[0].top_k"),
        ({"field": "brand", "category_path": ["Wine"]}, "facets[0].category_path"),
        ({"field": "category", "category_path": [""]}, "facets[0].category_path"),
        ({"field": "brand", "price_bounds": [PRICE]}, "facets[0].price_bounds"),
        ({"field": "price", "price_bounds": [PRICE, PRICE]}, "facets[0].price_bounds"),
        ({"field": "price", "price_bounds": [PRICE, POUNDS]}, "facets[0].price_bounds"),
        ({"field": "price", "price_bounds": [{"units": -1}]}, "facets[0].price_bounds[0]"),
        ({"field": "price", "number_bounds": [1]}, "facets[0].number_bounds"),
        ({"field": "stock", "number_bounds": [2, 1]}, "facets[0].number_bounds"),
        ({"field": "stock", "number_bounds": [float("nan")]}, "facets[0].number_bounds"),
        ({"field": "stock", "number_bounds": [*range(51)]}, "facets[0].number_bounds"),
        ({"field": "stock", "price_bounds": [PRICE]}, "facets[0].price_bounds"),
    ],
)
async def test_facets_that_can_not_be_counted_are_refused_with_their_path(
    shop: Shop, asked: dict[str, Any], field: str
) -> None:
    request = products_pb.CountFacetsRequest(facets=[facet_pb2.FacetRequest(**asked)])
    with refused("INVALID_ARGUMENT", "FACET_INVALID", field):
        await shop.products.CountFacets(request)


async def test_of_a_wrong_filter_and_a_wrong_facet_the_filter_is_named(shop: Shop) -> None:
    comparison = filter_pb2.Comparison(field="nothing")
    request = products_pb.CountFacetsRequest(
        facets=[facet_pb2.FacetRequest(field="nothing")],
        filter=filter_pb2.Filter(comparison=comparison),
    )
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.field"):
        await shop.products.CountFacets(request)


async def test_facets_need_the_columns(shop: Shop) -> None:
    columns = Columns(shop.record, most_products=0)
    with pytest.raises(ColumnsUnavailable):
        await facets.count("default", All(), [], columns)


async def test_all_products_that_pass_are_listed_in_an_order_page_by_page(shop: Shop) -> None:
    await shop.upsert(
        *(wine(f"w{n}", rating=float(n % 3), brand="A" if n % 2 else "B") for n in range(7)),
        wine("unrated", brand="A"),
        wine("v1", parent_id="w2", brand="B", rating=5.0),
    )
    request = products_pb.BrowseProductsRequest(order="RATING", page_size=3)
    request.facets.add(field="brand")
    request.filter.CopyFrom(compare("brand", text("A")))
    first = await shop.products.BrowseProducts(request)
    assert first.product_count == 4
    assert [(value.text, value.product_count) for value in first.facets[0].values] == [("A", 4)]
    request.page_token = first.next_page_token
    rest = await shop.products.BrowseProducts(request)
    listed = [product.product_id for product in (*first.products, *rest.products)]
    assert sorted(listed) == ["unrated", "w1", "w3", "w5"]
    assert (listed[0], listed[-1], rest.next_page_token) == ("w5", "unrated", "")
    whole = await shop.products.BrowseProducts(
        products_pb.BrowseProductsRequest(order="RATING", page_size=9)
    )
    assert whole.products[0].product_id == "v1"
    assert whole.variants[0].product_ids == ["w2"]
    known = products_pb.BrowseProductsRequest(order="RATING", known_state=whole.state)
    assert (await shop.products.BrowseProducts(known)).not_modified


async def test_listings_that_can_not_be_ordered_are_refused(shop: Shop) -> None:
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "order"):
        await shop.products.BrowseProducts(products_pb.BrowseProductsRequest(order="TITLE"))
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", "page_token"):
        await shop.products.BrowseProducts(
            products_pb.BrowseProductsRequest(order="NEWEST", page_token="x")
        )
