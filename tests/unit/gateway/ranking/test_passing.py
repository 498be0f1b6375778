"""Filters evaluated on candidates' columns agree with the record."""

import pytest

from gateway.clients.columns import columns_of_rows
from gateway.model.filters import expression
from gateway.ranking.passing import passing
from sightline.common.v1.product_pb2 import Product
from sightline_core.columns import ProductColumns, gathered
from sightline_rules import messages
from sightline_rules.facts import passes
from sightline_rules.filters import All, Filter


def parsed(text: str) -> Filter:
    return messages.read(expression(text))


NUMBER, FLAG = {"key": "k", "number": 1.0}, {"key": "k", "flag": True}
EUROS = {"currency_code": "EUR", "units": 20, "nanos": 500_000_000}
FREE = {"currency_code": "EUR"}
PRODUCTS = [
    Product(product_id="a", category_path=["Wine", "Red"], brand="Miolo", price=EUROS),
    Product(product_id="b", category_path=["Wine"], tags=["Beef", "Pork"], attributes=[NUMBER]),
    Product(product_id="c", category_path=["Winery"], price=FREE, attributes=[FLAG]),
    Product(product_id="d", brand="Aurora", create_time={"seconds": 1_700_000_000}),
]
for number, product in enumerate(PRODUCTS, start=1):
    product.availability = number


@pytest.mark.parametrize(
    "text",
    [
        'category = "Wine"',
        "NOT category:*",
        "brand = Miolo OR brand = Aurora",
        "brand != Miolo",
        "price < 20 EUR",
        "NOT price:*",
        "price >= 0 USD",
        "availability = OUT_OF_STOCK",
        "tags:Beef AND category = Wine",
        "attributes.k = 1",
        "attributes.k = true",
        "attributes.k:*",
        'create_time >= "2023-01-01"',
    ],
)
async def test_columns_say_what_the_record_would(text: str) -> None:
    condition = parsed(text)
    parts = [(columns_of_rows(part), (0, 1)) for part in (PRODUCTS[:2], PRODUCTS[2:])]
    (found,) = await passing(gathered(parts), [condition])
    assert found is not None
    assert found == [
        each.product_id for each in PRODUCTS if passes(condition, messages.facts(each))
    ]
    assert 0 < len(found) < len(PRODUCTS) or "USD" in text


async def test_the_record_is_asked_where_columns_do_not_say() -> None:
    columns = columns_of_rows(PRODUCTS)
    for text in ("title:red", 'update_time >= "2023-01-01"', 'brand = Miolo AND title:"x"'):
        assert await passing(columns, [parsed(text)]) == [None]
    assert await passing(columns, [All()]) == [None]
    assert await passing(ProductColumns(product_ids=["a"]), [parsed("brand:*")]) == [None]


async def test_filters_that_columns_can_answer_are_answered_beside_others() -> None:
    columns = columns_of_rows(PRODUCTS)
    asked = [parsed(text) for text in ("brand = Miolo", "title:red", "tags:Beef")]
    assert await passing(columns, asked) == [["a"], None, ["b"]]
