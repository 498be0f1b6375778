"""Other orders of the nearest products."""

from types import SimpleNamespace

import pytest

from gateway.ranking.near_duplicates import picked
from gateway.ranking.sorting import SORTS, in_order
from sightline_core.answer import AnswerOrder
from sightline_core.columns import ProductColumns

PRODUCTS = {
    # price, currency, brand, rating, created
    "dear": (9, "EUR", "b", 31, 1),
    "cheap": (1, "EUR", "", -1, 3),
    "dollars": (2, "USD", "A", 50, 2),
    "unpriced": (-1, "", "c", 0, 5),
    "middling": (5, "EUR", "B", 31, 4),
    "behind": (0, "EUR", "a", 49, 9),
}


NAMES = ("price_micros", "currencies", "brands", "rating_tenths", "create_time_micros")


def columns() -> ProductColumns:
    block = SimpleNamespace(**dict(zip(NAMES, zip(*PRODUCTS.values(), strict=True), strict=True)))
    split = 2  # as two searches name them
    blocks = [(block, range(split)), (block, range(split, len(PRODUCTS)))]
    return ProductColumns(list(PRODUCTS), blocks=blocks)


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
        ("", "dear cheap dollars unpriced middling"),
        ("NEAREST", "dear cheap dollars unpriced middling"),
        ("PRICE_RISING", "cheap middling dear dollars unpriced"),
        ("PRICE_FALLING", "dear middling cheap dollars unpriced"),
        ("NEWEST", "unpriced middling cheap dollars dear"),
        ("BRAND", "dollars dear middling unpriced cheap"),
        ("RATING", "dollars dear middling unpriced cheap"),
    ],
)
def test_the_nearest_are_sorted_and_what_is_farther_stays_behind(sort: str, expected: str) -> None:
    made = in_order(order(), columns(), sort, nearest=5)
    assert list(made.product_ids) == [*expected.split(), "behind"]
    assert [each for (each,) in made.collapsed] == [f"like {each}" for each in made.product_ids]
    assert made.total == len(PRODUCTS)
    scores = dict(zip(PRODUCTS, order().raw_scores, strict=True))
    assert list(made.raw_scores) == [scores[each] for each in made.product_ids]


def test_columns_that_say_nothing_leave_the_order() -> None:
    bare = SimpleNamespace(**dict.fromkeys(NAMES, ()))
    silent = ProductColumns(list(PRODUCTS), blocks=[(bare, range(len(PRODUCTS)))])
    for sort in sorted(SORTS):
        assert list(in_order(order(), silent, sort, 5).product_ids) == list(PRODUCTS)


def test_an_order_without_near_duplicates_is_shorter_than_the_columns() -> None:
    made = in_order(picked(order(), [1, 0]), columns(), "PRICE_FALLING", nearest=len(PRODUCTS))
    assert list(made.product_ids) == ["dear", "cheap"]
