import math
from itertools import compress

import numpy as np
import pytest

from ranker.domain.online import OutcomeCounts, Sums, by_arm, rates
from sightline_rules.shares import wilson


def test_without_trials_all_rates_are_zero() -> None:
    assert all(rate.value == 0 for rate in rates(OutcomeCounts("m", "s", "")))


def tally(shoppers: list[tuple[list[float], list[bool]]]) -> OutcomeCounts:
    """Return the counts of shoppers' impressions, given by their weights and whether they were
    clicked."""
    n = np.array([sum(weights) for weights, _ in shoppers])
    c = np.array([sum(compress(weights, clicks)) for weights, clicks in shoppers])
    count = sum(len(weights) for weights, _ in shoppers)
    clicked = sum(sum(clicks) for _, clicks in shoppers)
    squares = sum(weight**2 for weights, _ in shoppers for weight in weights)
    return OutcomeCounts(
        "m",
        "s",
        "",
        shoppers=len(shoppers),
        weight_squares=squares,
        shown=Sums(count, n.sum(), float(n @ n), float(n @ n)),
        clicked=Sums(clicked, c.sum(), float(c @ c), float(n @ c)),
    )


def test_impressions_of_different_people_are_independent() -> None:
    found, *_ = rates(tally([([1.0], [place < 20]) for place in range(100)]))
    assert (found.count, found.value) == (20, 0.2)
    assert (found.lower, found.upper) == pytest.approx(wilson(0.2, 100), rel=0.01)


def test_clicks_of_few_people_prove_less() -> None:
    apart, *_ = rates(tally([([1.0], [place < 20]) for place in range(100)]))
    alike = [([1.0] * 10, [person < 2] * 10) for person in range(10)]
    together, *_ = rates(tally(alike))
    assert together.value == apart.value
    assert together.upper - together.lower > 2 * (apart.upper - apart.lower)
    (lower, upper), (one, *_) = wilson(0.5, 1), rates(tally([([1.0] * 50, [True, False] * 25)]))
    assert (one.lower, one.upper) == (lower, upper), "one shopper is one"


def test_intervals_hold_the_truth_where_people_differ() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        chances = rng.beta(0.5, 4.5, 150)  # a tenth on average; people differ much
        people = [
            ([1.0] * size, (rng.random(size) < chance).tolist())
            for chance, size in zip(chances, rng.integers(1, 30, 150), strict=True)
        ]
        found, *_ = rates(tally(people))
        held += found.lower <= 0.1 <= found.upper
    assert held / 400 > 0.92


def test_a_sampled_impression_counts_for_those_it_stands_for() -> None:
    # 10 impressions of which one in ten was kept, one clicked; 100 that were all kept, none.
    people = [([10.0], [place == 0]) for place in range(10)] + [([1.0], [False])] * 100
    found, *_ = rates(tally(people))
    assert (found.count, found.value) == (1, 0.05)
    assert found.upper - found.lower > np.subtract(*wilson(0.05, 200)[::-1])


def test_an_answer_of_two_arms_counts_in_both() -> None:
    tallies = [
        OutcomeCounts("m", "s", "a\nb", answers=2, shown=Sums(5)),
        OutcomeCounts("m", "s", "b", answers=1, shown=Sums(3)),
        OutcomeCounts("m", "s", "", answers=4),
    ]
    found = {one.arms: (one.answers, one.shown.count) for one in by_arm(tallies)}
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
