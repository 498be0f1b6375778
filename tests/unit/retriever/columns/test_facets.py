"""Facets on columns against the reference, `sightline_rules.filters.passes`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retriever.columns.column import AskedFacet
from retriever.columns.facets import Counting, Facet
from retriever.columns.table import ProductTable
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from sightline_rules.evaluation.work import finish
from sightline_rules.facts import Facts, passes
from sightline_rules.filters import All, Availability, Comparison, Money, Operator
from tests.unit.retriever.adapters.milvus.test_filters import FACTS
from tests.unit.retriever.rows import row_of

SHOPS = st.lists(st.tuples(FACTS, st.sampled_from(["", "p0", "p1", "elsewhere"])), max_size=8)
ASKED = [
    AskedFacet("category", 200),
    AskedFacet("category", 200, below="Wine"),
    AskedFacet("brand", 200),
    AskedFacet("availability", 200),
    AskedFacet("tags", 200),
    AskedFacet("attributes.k", 200),
    AskedFacet("price", 200),
    AskedFacet("price", 200, bounds=(Money("EUR", 0), Money("EUR", 5), Money("EUR", 7))),
    AskedFacet("rating", 200),
    AskedFacet("stock", 200),
    AskedFacet("stock", 200, bounds=(0.0, 0.5, 3.0)),
]
AND_MORE, ENOUGH = ("4 and more", 2), ("20 and more", 1)
STOCKS = [("0–1", 1), ("1–2", 1), ("2–5", 1)]


def counted(shop: dict[str, tuple[Facts, str]], *asked: AskedFacet) -> tuple[int, list[Facet]]:
    table = ProductTable(
        row_of(name, facts, parent_id=parent) for name, (facts, parent) in shop.items()
    )
    return finish(Counting(table, np.flatnonzero(table.alive), asked).count())


@pytest.mark.slow
@given(SHOPS)
@example(
    [
        (Facts(category="Wine > Red", tags=frozenset({"a", "b"})), "p0"),
        (Facts(category="Wine > White", tags=frozenset({"b"})), "p0"),
        (Facts(category="Wine", attributes={"k": ("x", "y")}), ""),
        (Facts(attributes={"k": (1.0,)}), ""),
        (Facts(attributes={"k": ("red", "red")}), ""),
        (Facts(attributes={"k": (True,)}), ""),
        (Facts(price=Money("EUR", 6)), ""),
        (Facts(price=Money("USD", 2**62)), ""),
    ]
)
def test_a_value_has_the_products_that_its_filter_passes_each_family_once(
    given_shop: list[tuple[Facts, str]],
) -> None:
    shop = {
        f"p{number}": (facts, "" if parent == f"p{number}" else parent)
        for number, (facts, parent) in enumerate(given_shop)
    }
    family = {name: parent or name for name, (_, parent) in shop.items()}
    total, facets = counted(shop, *ASKED)
    assert total == len(set(family.values()))
    for facet in facets:
        held = [
            {family[name] for name, (facts, _) in shop.items() if passes(value.condition, facts)}
            for value in facet.values
        ]
        assert [value.products for value in facet.values] == [len(each) for each in held]
        assert all(held), "a value that no product has"
        assert facet.missing == total - len(set().union(*held))
        assert facet.more == 0
        assert len({value.text for value in facet.values}) == len(facet.values) or (
            facet.field == "attributes.k"  # the number 1 and the text "1"
        )


def test_values_of_most_products_come_first_and_the_rest_is_counted() -> None:
    brands = ["b", "a", "c", "c", ""]
    shop = {f"p{n}": (Facts(brand=brand), "") for n, brand in enumerate(brands)}
    total, (facet,) = counted(shop, AskedFacet("brand", 2))
    assert total == 5
    assert [(each.text, each.products) for each in facet.values] == [("c", 2), ("a", 1)]
    assert (facet.more, facet.missing) == (1, 1)
    assert facet.values[0].condition == Comparison("brand", Operator.EQUAL, "c")


def test_categories_are_counted_level_by_level() -> None:
    paths = ["Wine > Red > Dry", "Wine > Red", "Wine", "Winery", "Beer"]
    shop = {f"p{n}": (Facts(category=path), "") for n, path in enumerate(paths)}
    _, (top, wine, red) = counted(
        shop,
        AskedFacet("category", 9),
        AskedFacet("category", 9, below="Wine"),
        AskedFacet("category", 9, below="Wine > Red"),
    )
    assert [(each.text, each.products) for each in top.values] == [
        ("Wine", 3),
        ("Beer", 1),
        ("Winery", 1),
    ]
    assert [(each.text, each.products) for each in wine.values] == [("Wine > Red", 2)]
    assert [each.text for each in red.values] == ["Wine > Red > Dry"]
    assert wine.missing == 3


def test_prices_come_in_ranges_of_the_usual_currency() -> None:
    prices = [Money("EUR", n * 1_000_000) for n in (0, 4, 5, 99, 100)] + [Money("USD", 1)]
    shop = {f"p{n}": (Facts(price=price), "") for n, price in enumerate(prices)}
    given_bounds = (Money("USD", 0), Money("USD", 1_500_000))
    _, (usual, dollars) = counted(
        shop, AskedFacet("price", 1), AskedFacet("price", 1, bounds=given_bounds)
    )
    assert [(each.text, each.products) for each in usual.values] == [
        ("0–1 EUR", 1),
        ("2–5 EUR", 1),
        ("5–10 EUR", 1),
        ("50–100 EUR", 1),
        ("100 EUR and more", 1),
    ]
    assert usual.missing == 1
    assert [each.text for each in dollars.values] == ["0–1.5 USD"]
    low, high = (Money("USD", 0), Money("USD", 1_500_000))
    assert dollars.values[0].condition == All(
        (
            Comparison("price", Operator.GREATER_OR_EQUAL, low),
            Comparison("price", Operator.LESS, high),
        )
    )


def test_availability_is_a_value_of_its_own_type() -> None:
    shop = {"p0": (Facts(availability=Availability.PREORDER), "")}
    _, (facet,) = counted(shop, AskedFacet("availability", 9))
    (value,) = facet.values
    assert value.text == "PREORDER"
    assert value.condition == Comparison("availability", Operator.EQUAL, Availability.PREORDER)


def test_counting_stops_when_nobody_waits() -> None:
    table = ProductTable([row_of("p0", Facts(brand="a"))])
    counting = Counting(table, np.flatnonzero(table.alive), [AskedFacet("brand", 9)])
    with deadlines.within(0), pytest.raises(DeadlineExceeded):
        finish(counting.count(), deadlines.check)


@pytest.mark.parametrize(
    ("asked", "values", "expected"),
    [
        (AskedFacet("rating", 1), [0, 0.9, 3.9, 4, 5, None], [("0–1", 2), ("3–4", 1), AND_MORE]),
        (
            AskedFacet("stock", 1),
            [0, 1, 2, 49, 50, 70],
            [*STOCKS, ("20–50", 1), ("50 and more", 2)],
        ),
        (AskedFacet("stock", 1, bounds=(2.0, 20.0)), [0, 1, 2, 19, 20], [("2–20", 2), ENOUGH]),
    ],
)
def test_numbers_are_counted_in_ranges_from_the_lowest(
    asked: AskedFacet, values: list[float | None], expected: list[tuple[str, int]]
) -> None:
    shop = {f"p{n}": (Facts(**{asked.field: value}), "") for n, value in enumerate(values)}
    total, (facet,) = counted(shop, asked)
    assert [(value.text, value.products) for value in facet.values] == expected
    assert facet.missing == total - sum(count for _, count in expected)
