"""The fit recovers the true values of simulated shoppers, who examine the first places most."""

import numpy as np
import pytest

from ranker.domain.arrays import Doubles
from ranker.learning.feedback.clicks import PLACES, ClickModel, fit, groups

pytestmark = pytest.mark.slow

WORTH = np.array([0.5, 2.0, 0.0, 1.0])
LOGGED = np.array([2.0, 0.5, 1.0, 0.2])
"""Weights of the logged order, which differ from the shoppers' preferences."""
SIZE, INTERCEPT = 12, -2.5
LOOKS = 1 / np.arange(1, SIZE + 1) ** 0.8


def shop(seed: int, answers: int = 4_000) -> tuple[Doubles, np.ndarray, Doubles]:
    """Return parts, places and clicks of answers ordered by `LOGGED`, without randomness in the
    order."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(answers, SIZE, len(WORTH)))
    order = np.argsort(-(parts @ LOGGED), axis=1)
    parts = np.take_along_axis(parts, order[:, :, None], axis=1).reshape(-1, len(WORTH))
    place = np.tile(np.arange(1, SIZE + 1), answers)
    chance = LOOKS[place - 1] / (1 + np.exp(-(INTERCEPT + parts @ WORTH)))
    return parts, place, (rng.random(len(chance)) < chance).astype(float)


@pytest.fixture(scope="module")
def fitted() -> ClickModel:
    parts, place, clicked = shop(1)
    return fit(parts, place, clicked, np.ones(len(clicked)))


def test_the_true_worth_of_parts_comes_back_from_a_biased_order(fitted: ClickModel) -> None:
    assert fitted.weights == pytest.approx(WORTH, abs=0.12)
    assert fitted.intercept == pytest.approx(INTERCEPT, abs=0.2)
    parts, place, clicked = shop(1)
    blind = fit(parts, np.ones_like(place), clicked, np.ones(len(clicked)))
    assert blind.weights[0] > 2 * WORTH[0], "without places what led the order seems worth more"
    assert blind.weights[2] > 0.2


def test_how_much_each_place_is_looked_at_comes_back(fitted: ClickModel) -> None:
    assert fitted.examination[0] == 1.0
    assert fitted.examination[:10] == pytest.approx(LOOKS[:10], abs=0.06)
    assert fitted.examination[-1] == pytest.approx(fitted.examination[10], abs=0.02), (
        "places that were never shown have what the ones before them have"
    )


def test_a_part_that_repels_is_worth_nothing_rather_than_less() -> None:
    rng = np.random.default_rng(2)
    parts = rng.normal(size=(4_000, 2))
    chance = 1 / (1 + np.exp(-(-1 + parts @ np.array([1.0, -1.0]))))
    clicked = (rng.random(4_000) < chance).astype(float)
    found = fit(parts, np.ones(4_000, np.int64), clicked, np.ones(4_000))
    assert found.weights[1] == 0.0
    assert found.weights[0] > 0.5


def test_a_sampled_impression_counts_for_those_it_stands_for() -> None:
    parts, place, clicked = shop(3, answers=300)
    twice = np.arange(len(place)) % 3 == 0
    rows = np.repeat(np.arange(len(place)), np.where(twice, 2, 1))
    one = fit(parts, place, clicked, np.where(twice, 2.0, 1.0))
    other = fit(parts[rows], place[rows], clicked[rows], np.ones(len(rows)))
    assert one.weights == pytest.approx(other.weights, abs=0.02)


@pytest.mark.parametrize("clicked", [0.0, 1.0])
def test_clicks_on_nothing_or_on_all_end_in_finite_numbers(clicked: float) -> None:
    parts = np.random.default_rng(4).normal(size=(200, 3))
    found = fit(parts, np.ones(200, np.int64), np.full(200, clicked), np.ones(200))
    assert np.isfinite(found.weights).all()
    assert found.chance(parts, np.ones(200, np.int64)) == pytest.approx(clicked, abs=0.05)


def test_a_constant_part_is_worth_nothing() -> None:
    parts, place, clicked = shop(5, answers=300)
    parts[:, 2] = 7.0
    assert fit(parts, place, clicked, np.ones(len(clicked))).weights[2] == pytest.approx(
        0, abs=0.01
    )


def test_places_have_groups() -> None:
    found = groups(np.array([1, 10, 11, 20, 21, 50, 51, 2_000]))
    assert found.tolist() == [0, 9, 10, 10, 11, 11, 12, 12]
    assert len(PLACES) == 13
