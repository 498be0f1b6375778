import math

import pytest

from ranker.online import Tally, by_arm, rates, wilson


def test_an_interval_is_wilsons() -> None:
    # Brown, Cai, DasGupta 2001 work with the same formula; 2 of 10, by hand.
    lower, upper = wilson(0.2, 10)
    assert lower == pytest.approx(0.0567, abs=5e-5)
    assert upper == pytest.approx(0.5098, abs=5e-5)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 7.5, 1e6])
def test_an_interval_holds_its_share_and_stays_a_share(share: float, size: float) -> None:
    lower, upper = wilson(share, size)
    assert 0 <= lower <= share + 1e-12
    assert share - 1e-12 <= upper <= 1
    assert lower < upper


def test_without_trials_anything_is_possible() -> None:
    assert wilson(0.0, 0.0) == (0.0, 1.0)
    assert all(rate.value == 0 for rate in rates(Tally("m", "s", "")))


def test_a_sampled_impression_counts_for_those_it_stands_for() -> None:
    # 100 impressions of which one in ten was kept, one clicked; 100 that were all kept, none.
    tally = Tally("m", "s", "", impressions=110, weight=200, squares=10 * 100 + 100)
    clicked = rates(
        Tally("m", "s", "", impressions=110, weight=200, squares=1100, clicks=1, click_weight=10)
    )[0]
    assert (clicked.count, clicked.value) == (1, 0.05)
    assert (clicked.lower, clicked.upper) == wilson(0.05, 200**2 / 1100)
    assert rates(tally)[0].upper < clicked.upper


def test_an_answer_of_two_arms_counts_in_both() -> None:
    tallies = [
        Tally("m", "s", "a\nb", answers=2, impressions=5),
        Tally("m", "s", "b", answers=1, impressions=3),
        Tally("m", "s", "", answers=4),
    ]
    found = {one.arms: (one.answers, one.impressions) for one in by_arm(tallies)}
    assert found == {"": (4, 0), "a": (2, 5), "b": (3, 8)}


def test_nine_of_ten_intervals_of_95_percent_hold_the_truth() -> None:
    # Exact: the chance, under Binomial(60, p), that the interval holds p.
    for share in (0.02, 0.05, 0.3):
        held = 0.0
        for hits in range(61):
            lower, upper = wilson(hits / 60, 60)
            if lower <= share <= upper:
                held += math.comb(60, hits) * share**hits * (1 - share) ** (60 - hits)
        assert held > 0.9, share
