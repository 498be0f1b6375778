import numpy as np
import pytest

from ranker.domain.report import ModelVerdict
from ranker.learning.evaluation.verdict import LEAST_SHOPPERS, compare, decide


def figures(mean: float, count: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.1, count)


def test_better_than_popularity_means_the_whole_interval_above_zero() -> None:
    base = figures(0.2)
    for gain, expected in ((0.05, ModelVerdict.PASSED), (-0.05, ModelVerdict.FAILED)):
        found = compare(
            "popularity", base + gain + figures(0, seed=1), base, margin=0, decides=True
        )
        assert found.verdict is expected
        assert found.low <= gain <= found.high


def test_no_difference_is_no_worse_but_not_better() -> None:
    base = figures(0.2)
    assert (
        compare("production", base, base, margin=0.05, decides=True).verdict is ModelVerdict.PASSED
    )
    better = compare("popularity", base, base, margin=0, decides=True)
    assert better.verdict is ModelVerdict.INCONCLUSIVE


def test_a_margin_is_a_share_of_the_other_s_figure() -> None:
    base = figures(0.2)
    found = compare("production", base - 0.005, base, margin=0.05, decides=True)
    assert found.margin == pytest.approx(0.05 * base.mean())
    assert found.verdict is ModelVerdict.PASSED
    lost = compare("production", base - 0.02, base, margin=0.05, decides=True)
    assert lost.verdict is ModelVerdict.FAILED


def test_few_shoppers_conclude_nothing_however_large_the_difference() -> None:
    base = figures(0.2, LEAST_SHOPPERS - 1)
    found = compare("popularity", base + 0.5, base, margin=0, decides=True)
    assert found.verdict is ModelVerdict.INCONCLUSIVE
    verdict, why = decide([found], len(base))
    assert verdict is ModelVerdict.INCONCLUSIVE
    assert f"Only {LEAST_SHOPPERS - 1} shoppers" in why
    assert "smallest difference" in why


@pytest.mark.parametrize(
    ("against_popularity", "against_production", "expected"),
    [
        (0.05, 0.05, ModelVerdict.PASSED),
        (0.05, -0.05, ModelVerdict.FAILED),
        (-0.05, 0.05, ModelVerdict.FAILED),
        (0.05, -0.01, ModelVerdict.INCONCLUSIVE),
        (0.0, 0.05, ModelVerdict.INCONCLUSIVE),
    ],
)
def test_all_that_decides_has_to_pass(
    against_popularity: float, against_production: float, expected: ModelVerdict
) -> None:
    candidate = figures(0.2)
    popular = candidate - against_popularity + figures(0, seed=1)
    rival = candidate - against_production + figures(0, seed=2)
    found = [
        compare("popularity", candidate, popular, margin=0, decides=True),
        compare("production", candidate, rival, margin=0.05, decides=True),
        compare("EASE", candidate, candidate + 1, margin=0, decides=False),
    ]
    assert decide(found, len(candidate))[0] is expected


def test_without_anybody_to_ask_there_is_no_conclusion() -> None:
    verdict, why = decide([], 0)
    assert verdict is ModelVerdict.INCONCLUSIVE
    assert "nothing to measure" in why
