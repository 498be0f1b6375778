"""Other orders of the nearest products."""

from types import SimpleNamespace

import pytest

from gateway.model.answer import AnswerOrder
from gateway.model.columns import ProductColumns
from gateway.ranking.sorting import SearchSort, in_order

PRODUCTS = {
    # price, currency, brand, created
    "dear": (9, "EUR", "b", 1),
    "cheap": (1, "EUR", "", 3),
    "dollars": (2, "USD", "A", 2),
    "unpriced": (-1, "", "c", 5),
    "middling": (5, "EUR", "B", 4),
    "behind": (0, "EUR", "a", 9),
}


def columns() -> ProductColumns:
    prices, currencies, brands, created = zip(*PRODUCTS.values(), strict=True)
    split = 2  # as two searches name them; one says nothing of brands
    blocks = [
        (SimpleNamespace(price_micros=prices, currencies=currencies, brands=brands), range(split)),
        (
            SimpleNamespace(price_micros=prices, currencies=currencies, brands=brands),
            range(split, len(PRODUCTS)),
        ),
    ]
    return ProductColumns(list(PRODUCTS), create_time_micros=created, blocks=blocks)


def order() -> AnswerOrder:
    ids = list(PRODUCTS)
    return AnswerOrder(
        product_ids=ids,
        raw_scores=list(range(len(ids), 0, -1)),
        collapsed=[(f"like {each}",) for each in ids],
        total=len(ids),
    )


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (SearchSort.UNSPECIFIED, "dear cheap dollars unpriced middling"),
        (SearchSort.NEAREST, "dear cheap dollars unpriced middling"),
        (SearchSort.PRICE_RISING, "cheap middling dear dollars unpriced"),
        (SearchSort.PRICE_FALLING, "dear middling cheap dollars unpriced"),
        (SearchSort.NEWEST, "unpriced middling cheap dollars dear"),
        (SearchSort.BRAND, "dollars dear middling unpriced cheap"),
    ],
)
def test_the_nearest_are_sorted_and_what_is_farther_stays_behind(
    sort: SearchSort, expected: str
) -> None:
    made = in_order(order(), columns(), sort, nearest=5)
    assert list(made.product_ids) == [*expected.split(), "behind"]
    assert [each for (each,) in made.collapsed] == [f"like {each}" for each in made.product_ids]
    assert made.total == len(PRODUCTS)
    scores = dict(zip(PRODUCTS, order().raw_scores, strict=True))
    assert list(made.raw_scores) == [scores[each] for each in made.product_ids]


def test_columns_that_say_nothing_leave_the_order() -> None:
    bare = SimpleNamespace(price_micros=(), currencies=(), brands=())
    silent = ProductColumns(list(PRODUCTS), blocks=[(bare, range(len(PRODUCTS)))])
    for sort in SearchSort:
        assert list(in_order(order(), silent, sort, 5).product_ids) == list(PRODUCTS)
