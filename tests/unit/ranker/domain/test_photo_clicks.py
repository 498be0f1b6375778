"""Weights and bounds of clicks on searches by photo."""

import numpy as np
import pytest

from ranker.domain.photo_clicks import LAST_PLACE, MOST_OF_SHOPPER, MOST_WEIGHT, PhotoClick, weighed


def click(actor: str, item: str, place: int = 1, at: int = 0, size: int = 2) -> PhotoClick:
    return PhotoClick(actor, item, place, at, np.full(size, at + 1, "<f4").tobytes())


@pytest.mark.parametrize(
    ("place", "weight"), [(1, 1), (7, 7), (MOST_WEIGHT, 10), (11, 10), (LAST_PLACE, 10)]
)
def test_a_click_weighs_as_its_place_up_to_ten(place: int, weight: float) -> None:
    assert weighed([click("a", "p", place)]).weights.tolist() == [weight]


@pytest.mark.parametrize("place", [0, -1, LAST_PLACE + 1])
def test_clicks_outside_the_first_places_are_left_out(place: int) -> None:
    assert weighed([click("a", "p", place)]).product_ids == []


def test_of_repeated_clicks_on_a_product_the_newest_counts() -> None:
    found = weighed(click("a", "p", place=n % 5 + 1, at=n) for n in range(1_000))
    assert (found.product_ids, found.weights.tolist()) == (["p"], [5.0])
    assert found.vectors.tolist() == [[1_000.0, 1_000.0]]


def test_a_shopper_has_ten_clicks_and_the_weight_of_one_at_place_ten() -> None:
    found = weighed(click("a", f"p{n}", place=20, at=n) for n in range(1_000))
    assert found.product_ids == [f"p{n}" for n in range(999, 999 - MOST_OF_SHOPPER, -1)]
    assert found.weights.sum() == pytest.approx(MOST_WEIGHT)


@pytest.mark.parametrize("seed", range(20))
def test_no_shopper_has_more_than_a_tenth_of_a_hundred_clicks(seed: int) -> None:
    draw = np.random.default_rng(seed)
    honest = [click(f"s{n % draw.integers(9, 90)}", f"p{n}", 1, n) for n in range(200)]
    hostile = [click("x", f"q{n}", int(draw.integers(1, 21)), n) for n in range(500)]
    found = weighed([*honest, *hostile])
    assert len(found.product_ids) >= 100
    by_shopper = np.bincount(found.shoppers, found.weights)
    assert by_shopper.max() <= 0.1 * by_shopper.sum() + 1e-9


def test_photos_of_another_dimension_are_left_out() -> None:
    found = weighed([click("a", "p", at=2), click("b", "q", at=1, size=3)])
    assert (found.product_ids, found.vectors.shape) == (["p"], (1, 2))


def test_without_clicks_there_are_empty_columns() -> None:
    found = weighed([])
    assert (found.vectors.shape, found.shopper_count, len(found.weights)) == ((0, 0), 0, 0)
