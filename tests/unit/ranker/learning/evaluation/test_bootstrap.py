from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from ranker.learning.evaluation.bootstrap import intervals, of_few, smallest_effect


@pytest.mark.full
def test_intervals_hold_the_true_mean_about_as_often_as_they_promise() -> None:
    """Draw 200 samples of 150 shoppers, most of whom are at 0, as in metrics of the first ten
    places."""
    generator = np.random.default_rng(5)
    columns = (generator.random((150, 200)) < 0.2) * generator.exponential(0.5, (150, 200))
    found = intervals(columns)
    held = ((found.low <= 0.1) & (found.high >= 0.1)).mean()
    assert 0.89 <= held <= 0.99


Draw = Callable[[np.random.Generator, int], np.ndarray]

NULLS: dict[str, Draw] = {
    "lists that differ by chance alone": lambda rng, n: (
        rng.choice([-1, 1], n) * rng.choice([0, 0, 0, 0.3, 0.5, 1], n)
    ),
    "small gains of many, full losses of a few": lambda rng, n: rng.choice(
        [-1.0, 1 / 3, 0.0], n, p=[0.1, 0.3, 0.6]
    ),
    "a tiny gain of nearly all": lambda rng, n: np.where(rng.random(n) < 0.05, -0.95, 0.05),
}
"""Differences between two systems that are equally good: the mean is 0."""
SAMPLES = 150


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("count", [12, 40])
def test_few_shoppers_rarely_show_what_is_not_there(null: str, count: int) -> None:
    rng = np.random.default_rng(count)
    found = [of_few(NULLS[null](rng, count), seed=seed) for seed in range(SAMPLES)]
    most = binom.ppf(0.999, SAMPLES, 0.025)
    assert sum(low > 0 for low, _ in found) <= most
    assert sum(high < 0 for _, high in found) <= most


def test_few_shoppers_show_what_is_large() -> None:
    assert of_few(np.ones(5))[0] < 0 < of_few(np.ones(7))[0], "of five not even a perfect model"
    rng = np.random.default_rng(0)
    found = [of_few(rng.choice([0.0, 0.6], 37), seed=seed)[0] > 0 for seed in range(20)]
    assert sum(found) >= 19
    assert of_few(np.zeros(30))[0] < 0 < of_few(np.zeros(30))[1]


def test_a_skewed_sample_is_corrected_towards_its_tail() -> None:
    values = np.random.default_rng(1).exponential(1.0, (60, 1))
    found = intervals(values)
    normal = 1.96 * values.std(ddof=1) / np.sqrt(60)
    assert found.high[0] - found.mean[0] > normal > found.mean[0] - found.low[0]


def test_the_same_seed_draws_the_same_shoppers_for_every_column() -> None:
    values = np.random.default_rng(2).random((50, 1))
    alone, beside = intervals(values), intervals(np.hstack([values, values[::-1], values]))
    assert beside.low[[0, 2]] == pytest.approx(alone.low[0])
    assert intervals(values, seed=1).low[0] != alone.low[0]


def test_pairs_are_compared_more_sharply_than_two_samples_apart() -> None:
    generator = np.random.default_rng(4)
    taste = generator.random((80, 1))
    one, other = taste + 0.05, taste + generator.normal(0, 0.01, (80, 1))
    paired = intervals(one - other)
    assert paired.low[0] > 0
    assert intervals(one).low[0] < intervals(other).high[0]


@pytest.mark.parametrize("count", [1, 7])
def test_what_is_the_same_for_everyone_has_no_width(count: int) -> None:
    found = intervals(np.full((count, 1), 0.25))
    assert (found.low[0], found.high[0]) == (0.25, 0.25)


@pytest.mark.full
def test_the_smallest_effect_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(6)
    noise = generator.normal(0, 1.0, (200, 400))
    effect = np.mean([smallest_effect(noise[:, k]) for k in range(400)])
    found = intervals(noise + effect)
    assert 0.7 <= (found.low > 0).mean() <= 0.9


def test_one_shopper_shows_nothing() -> None:
    assert smallest_effect(np.array([1.0])) == float("inf")
