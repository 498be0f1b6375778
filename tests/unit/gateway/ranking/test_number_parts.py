"""Parts of scores by numbers of products."""

import math
from types import SimpleNamespace

import pytest

from gateway.model.scene import AttributeScale, NumberScales
from gateway.ranking.number_parts import ComputedParts, computed_parts
from sightline.common.v1 import candidate_pb2, product_pb2
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns
from sightline_core.parts import FRESHNESS, NUMBERS
from sightline_core.score_notes import NoteCause, ScoreNote


def computed(scales: NumberScales | None = None, weights=None, **columns: object) -> ComputedParts:
    """Return the parts of products with these columns."""
    message = candidate_pb2.CandidateColumns(**columns)
    count = max(len(values) for values in columns.values())
    message.product_ids.extend(f"p{row}" for row in range(count))
    candidates = FusedCandidates(
        columns=ProductColumns(list(message.product_ids), blocks=[(message, range(count))]),
        fused=[0.0] * count,
        order=list(range(count)),
        branches=[0] * count,
        nearest=[None] * count,
        image_ids=[""] * count,
        similarities={},
    )
    given = weights or {"rating": 1.0, "stock": 1.0, "margin": 1.0, "attribute.alcohol": 1.0}
    return computed_parts(candidates, given, scales or NumberScales(), 168.0, 0)


def near(*values: float) -> object:
    return pytest.approx(values, nan_ok=True)


NAN = float("nan")


def test_a_rating_of_few_counts_is_near_to_the_usual_one() -> None:
    scales = NumberScales(usual_rating=4.0, usual_rating_count=10)
    found = computed(
        scales,
        {"rating": 1.0},
        rating_tenths=[50, 50, 50, 0, -1],
        rating_counts=[1_000_000, 10, 0, 10, -1],
    )
    assert found.values["rating"] == pytest.approx([1.0, 0.9, 0.8, 0.4, NAN], abs=1e-5, nan_ok=True)
    assert found.notes == [ScoreNote("rating", NoteCause.NUMBER_MISSING, 1)]


def test_a_rating_without_a_count_counts_as_a_single_one_and_is_noted() -> None:
    scales = NumberScales(usual_rating=4.0, usual_rating_count=9)
    found = computed(scales, {"rating": 1.0}, rating_tenths=[50, 40], rating_counts=[-1, 7])
    assert found.values["rating"] == near(0.82, 0.8)
    assert found.notes == [ScoreNote("rating", NoteCause.RATING_WITHOUT_COUNT, 1)]


def test_a_stock_counts_up_to_the_scenes_plenty() -> None:
    found = computed(NumberScales(plenty_of_stock=20), {"stock": 1.0}, stocks=[0, 5, 20, 900, -1])
    assert found.values["stock"] == near(0.0, 0.25, 1.0, 1.0, NAN)


def test_a_margin_is_a_share_of_the_price_and_0_above_it() -> None:
    found = computed(
        None,
        {"margin": 1.0},
        price_micros=[10, 10, 10, 0, -1, 10],
        currencies=["EUR", "EUR", "EUR", "EUR", "", "EUR"],
        cost_micros=[4, 12, 4, 0, 4, -1],
        cost_currencies=["EUR", "EUR", "USD", "EUR", "EUR", ""],
    )
    assert found.values["margin"] == near(0.6, 0.0, NAN, NAN, NAN, NAN)
    assert found.notes == [
        ScoreNote("margin", NoteCause.NUMBER_MISSING, 3),
        ScoreNote("margin", NoteCause.OTHER_CURRENCY, 1),
        ScoreNote("margin", NoteCause.COST_ABOVE_PRICE, 1),
    ]


def test_an_attribute_is_scaled_between_its_bounds_and_texts_have_no_number() -> None:
    lists = [[product_pb2.Attribute(key="alcohol", number=number)] for number in (10.0, 12.5, 99.0)]
    lists += [[product_pb2.Attribute(key="alcohol", text="12")], []]
    found = computed(
        NumberScales(attributes={"alcohol": AttributeScale(least=10, most=15)}),
        attributes=[candidate_pb2.AttributeList(values=each) for each in lists],
    )
    assert found.values["attribute.alcohol"] == near(0.0, 0.5, 1.0, NAN, NAN)
    assert ScoreNote("attribute.alcohol", NoteCause.NUMBER_MISSING, 2) in found.notes


def test_a_low_price_is_rated_among_the_candidates_of_the_usual_currency() -> None:
    found = computed(
        None,
        {"low_price": 1.0},
        price_micros=[30, 10, 20, 20, 5, -1, 0],
        currencies=["EUR", "EUR", "EUR", "EUR", "USD", "", "EUR"],
    )
    assert found.values["low_price"] == near(0.0, 0.75, 0.375, 0.375, NAN, NAN, 1.0)
    assert found.notes == [
        ScoreNote("low_price", NoteCause.NUMBER_MISSING, 1),
        ScoreNote("low_price", NoteCause.OTHER_CURRENCY, 1),
    ]
    alone = computed(None, {"low_price": 1.0}, price_micros=[30], currencies=["EUR"])
    assert alone.values["low_price"] == [1.0]
    none = computed(None, {"low_price": 1.0}, price_micros=[-1], currencies=[""])
    assert none.values == {}


def test_of_two_currencies_as_frequent_the_same_one_is_usual_in_any_order() -> None:
    for prices, currencies in (([1, 2], ["EUR", "USD"]), ([2, 1], ["USD", "EUR"])):
        found = computed(None, {"low_price": 1.0}, price_micros=prices, currencies=currencies)
        rated = dict(zip(currencies, found.values["low_price"], strict=True))
        assert (math.isnan(rated["EUR"]), rated["USD"]) == (True, 1.0)


def test_every_number_is_computed_where_it_is_known() -> None:
    known = {"rating_tenths": [40], "stocks": [3]}
    known |= {"price_micros": [3], "currencies": ["EUR"]}
    known |= {"cost_micros": [2], "cost_currencies": ["EUR"]}
    found = computed(None, dict.fromkeys(NUMBERS, 1.0), **known)
    assert found.values.keys() == NUMBERS.keys() - {FRESHNESS}


def test_a_part_that_no_product_has_is_left_out_and_named() -> None:
    found = computed(None, {"margin": 1.0}, price_micros=[10, 10], currencies=["EUR", "EUR"])
    assert found == ComputedParts({}, [ScoreNote("margin", NoteCause.NUMBER_MISSING, 2)])


def test_parts_without_a_weight_are_not_computed() -> None:
    source = SimpleNamespace()  # has no column that could be read
    columns = ProductColumns(["a"], blocks=[(source, [0])])
    candidates = FusedCandidates(columns, [0.0], [0], [0], [None], [""], {})
    assert computed_parts(candidates, {"visual": 1.0}, NumberScales(), 1.0, 0) == ComputedParts(
        {}, []
    )
