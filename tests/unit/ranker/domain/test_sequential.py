"""Intervals and tests that are valid at all readings together."""

import numpy as np
import pytest

from ranker.domain.sequential import ALPHA, EVIDENCE, half_width, mismatch_evidence

DAYS, A_DAY, RATE = 20, 100, 0.2
TESTS = 1000


def looked_at(lift: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return by test and day the difference of two rates, its variance and the units of both arms:
    at the end of each day, over all units so far."""
    random = np.random.default_rng(seed)
    units = A_DAY * np.arange(1, DAYS + 1)
    rates = [
        random.binomial(A_DAY, rate, (TESTS, DAYS)).cumsum(axis=1) / units
        for rate in (RATE, RATE + lift)
    ]
    variance = sum(rate * (1 - rate) / (units - 1) for rate in rates)
    return rates[1] - rates[0], np.asarray(variance), 2.0 * units


def test_of_tests_without_an_effect_few_are_ever_decided_however_often_one_looks():
    difference, variance, units = looked_at(0.0, seed=1)

    decided = (np.abs(difference) > half_width(variance, units, 2_000.0)).any(axis=1)
    naive = (np.abs(difference) > 1.96 * np.sqrt(variance)).any(axis=1)

    assert decided.mean() <= ALPHA
    assert naive.mean() > 4 * ALPHA, "what looking costs a test that is made for one look"


def test_a_true_effect_is_found_by_most_tests_and_before_the_end():
    difference, variance, units = looked_at(0.08, seed=2)

    decided = difference > half_width(variance, units, 2_000.0)

    assert decided.any(axis=1).mean() > 0.9
    assert decided.argmax(axis=1)[decided.any(axis=1)].mean() < 0.75 * DAYS


def test_the_interval_is_the_tightest_against_one_of_a_single_look_near_the_planned_units():
    units = np.array([10.0, 100.0, 1_000.0, 10_000.0, 100_000.0])

    width = half_width(np.ones(5), units, 1_000.0)

    assert width.argmin() == 2
    assert 1.96 < width[2] < 3.1


def test_a_sample_ratio_that_is_right_is_seldom_called_wrong_however_often_one_looks():
    random, shares = np.random.default_rng(3), [0.5, 0.25]
    counts = random.multinomial(300, [2 / 3, 1 / 3], (TESTS, DAYS)).cumsum(axis=1)

    wrong = [
        any(mismatch_evidence(day.tolist(), shares) >= EVIDENCE for day in test) for test in counts
    ]

    assert sum(wrong) <= 3  # 1 of 1,000 is what is promised


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        ((0, 0), False),
        ((5_100, 4_900), False),
        ((5_300, 4_700), True),
        ((10_000, 0), True),
        ((500_000_000, 0), True),
    ],
)
def test_a_sample_ratio_that_is_wrong_is_found(counts, wrong):
    assert (mismatch_evidence(counts, [0.5, 0.5]) >= EVIDENCE) is wrong
