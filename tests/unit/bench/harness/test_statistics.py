"""Percentiles are measured values, within their intervals."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.harness.model import Interval
from bench.harness.statistics import mean, median_ratio, percentile, ratio


def test_the_median_and_the_tail_are_nearest_ranks() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5).value == 50
    assert percentile(values, 0.99).value == 99


@pytest.mark.slow
@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_every_figure_was_measured_and_lies_within_its_interval(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert {found.value, found.low, found.high} <= set(values)
    assert found.low <= found.value <= found.high


def test_the_interval_holds_the_true_median_about_95_times_in_100() -> None:
    draw = random.Random(1)
    held = 0
    for _ in range(1000):
        found = percentile([draw.random() for _ in range(101)], 0.5)
        held += found.low <= 0.5 <= found.high
    assert 930 <= held <= 985


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_ratio_is_of_the_sums_and_its_interval_covers_the_parts() -> None:
    found = ratio([(1, 1), (3, 2), (2, 2)])
    assert found.value == pytest.approx(6 / 5)
    assert 1 <= found.low < found.value < found.high <= 1.5


def test_like_parts_have_no_spread() -> None:
    found = ratio([(3, 2)] * 6)
    assert (found.low, found.value, found.high) == (1.5, 1.5, 1.5)


@pytest.mark.full
def test_a_mean_is_shown_with_the_spread_of_its_values() -> None:
    assert mean([1.0] * 30) == Interval(1.0, 1.0, 1.0)
    wide, narrow = mean([0.0, 1.0] * 10), mean([0.0, 1.0] * 1_000)
    assert wide.value == narrow.value == 0.5
    assert wide.low < narrow.low < 0.5 < narrow.high < wide.high
    with pytest.raises(ValueError, match="no values"):
        mean([])


def test_a_ratio_of_medians_lies_within_its_interval() -> None:
    slow, fast = [3.0, 2.0, 2.2, 1.9, 2.1], [1.0, 1.1, 0.9, 1.0, 5.0]
    found = median_ratio(slow, fast)
    assert found.value == pytest.approx(2.1)
    assert found.low < found.value < found.high
    assert median_ratio(slow, slow) == Interval(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="no values"):
        median_ratio([], [])
