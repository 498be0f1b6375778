"""Values of a field: which products have them, and how they are ranked."""

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clients.columns import columns_of_rows
from gateway.model.query import ValueGrouping
from gateway.ranking.field_values import (
    DEPTH,
    grouped_field,
    rank_values,
    ranked_values,
    score,
)
from sightline.common.v1.product_pb2 import Attribute
from sightline_core.columns import ProductColumns
from tests.fakes.gateway_snapshot import row

Places = st.sets(st.integers(0, 1999), min_size=1, max_size=30).map(sorted)
Rankings = st.lists(st.lists(st.sampled_from("abcdef"), max_size=3).map(tuple), max_size=60)


@given(Places)
def test_a_score_is_1_for_the_first_products_alone_and_else_between_0_and_1(places):
    first = places[:DEPTH] == list(range(DEPTH))
    assert (score(places) == pytest.approx(1.0)) is first
    assert 0 < score(places) <= 1


@given(Places, Places)
def test_products_behind_the_best_five_do_not_count(places, more):
    beyond = [place + places[-1] + 1 for place in more]
    if len(places) >= DEPTH:
        assert score([*places, *beyond]) == score(places)
    else:
        assert score([*places, *beyond]) > score(places)


@given(Places, st.data())
def test_a_product_that_moves_up_raises_its_value(places, data):
    at = data.draw(st.integers(0, len(places) - 1))
    above = places[at - 1] + 1 if at else 0
    moved = data.draw(st.integers(above, places[at]))
    better = [*places[:at], moved, *places[at + 1 :]]
    counts = at < DEPTH and moved < places[at]
    assert score(better) > score(places) if counts else score(better) == score(places)


@given(Rankings)
def test_every_value_is_ranked_once_with_all_of_its_products(ranking):
    found = rank_values(ranking)
    assert {each.value for each in found} == {value for own in ranking for value in own}
    for each in found:
        assert list(each.places) == [at for at, own in enumerate(ranking) if each.value in own]
        assert each.score == score(each.places)
    keys = [(-each.score, each.places[0], each.text) for each in found]
    assert keys == sorted(keys)


@given(Rankings)
def test_a_value_whose_products_are_all_better_placed_is_before_the_other(ranking):
    found = rank_values(ranking)
    for at, one in enumerate(found):
        for other in found[at + 1 :]:
            pairs = zip(one.places, other.places, strict=False)
            dominated = len(one.places) <= len(other.places) and all(a > b for a, b in pairs)
            assert not dominated


def test_hundreds_of_mediocre_products_do_not_outrank_five_good_ones():
    ranking = [("large",) if place >= 20 else ("small",) for place in range(500)]
    ranking[5:20] = [()] * 15
    assert [each.value for each in rank_values(ranking)] == ["small", "large"]


def test_the_score_is_the_sum_of_discounts_by_the_greatest_possible_one():
    greatest = sum(1 / log2(2 + place) ** 2 for place in range(DEPTH))
    assert score([0]) == pytest.approx(1 / greatest)
    assert score([3, 7]) == pytest.approx((1 / log2(5) + 1 / log2(3) / log2(9)) / greatest)


def test_a_number_and_a_flag_of_equal_value_are_two_values():
    found = rank_values([(1.0, True), (12.0,)])
    assert sorted(each.text for each in found) == ["1", "12", "true"]


PRODUCTS = columns_of_rows(
    [
        row("a", "Wine", "Red", "Merlot", brand="Aurora", tags=["dry", "gift"]),
        row("b", "Wine", "White", brand="Miolo", tags=["dry"]),
        row("c", "Beer", brand="Aurora"),
        row("d", "Wine", attributes=[Attribute(key="grape", text="Merlot")]),
        row(
            "e",
            attributes=[
                Attribute(key="grape", text="Merlot"),
                Attribute(key="grape", text="Tannat"),
                Attribute(key="organic", flag=True),
            ],
        ),
    ]
)


@pytest.mark.parametrize(
    ("grouping", "expected"),
    [
        (ValueGrouping("brand"), [("Aurora", [0, 2]), ("Miolo", [1])]),
        (ValueGrouping("category"), [("Wine", [0, 1, 3]), ("Beer", [2])]),
        (
            ValueGrouping("category", ("Wine",)),
            [("Wine > Red", [0]), ("Wine > White", [1])],
        ),
        (ValueGrouping("category", ("Win",)), []),
        (ValueGrouping("tags"), [("dry", [0, 1]), ("gift", [0])]),
        (ValueGrouping("attributes.grape"), [("Merlot", [3, 4]), ("Tannat", [4])]),
        (ValueGrouping("attributes.organic"), [("true", [4])]),
    ],
)
async def test_values_are_those_of_the_ranked_products(grouping, expected):
    found = await ranked_values(PRODUCTS, grouping, ["a", "b", "c", "d", "e"])
    assert [(each.text, list(each.places)) for each in found] == expected


async def test_products_that_are_not_ranked_have_no_part_in_it():
    found = await ranked_values(PRODUCTS, ValueGrouping("brand"), ["gone", "b"])
    assert [(each.text, list(each.places)) for each in found] == [("Miolo", [1])]


async def test_columns_without_the_field_have_no_values():
    bare = ProductColumns(product_ids=["a"])
    assert await ranked_values(bare, ValueGrouping("brand"), ["a"]) == []


@pytest.mark.parametrize("name", ["price", "rating", "title", "colour", "attributes.", ""])
def test_other_fields_are_refused_with_those_that_can_be_ranked(name):
    with pytest.raises(ValueError):  # noqa: PT011 - the texts differ
        grouped_field(name)
