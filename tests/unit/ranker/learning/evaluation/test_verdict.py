import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

from ranker.domain.report import ModelVerdict, ProvenMargin, best_margin
from ranker.learning.evaluation.verdict import (
    LEAST_SHOPPERS,
    MARGIN,
    compare,
    compare_with_best,
    decide,
)


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


def test_few_shoppers_have_to_show_more() -> None:
    gains = np.tile([0.0, 0.0, 1.0], 13)
    for count, expected in ((9, ModelVerdict.INCONCLUSIVE), (39, ModelVerdict.PASSED)):
        found = compare("no model", gains[:count], np.zeros(count), margin=0, decides=True)
        assert found.verdict is expected
        verdict, why = decide([found], count)
        assert verdict is expected
        assert f"Only {count} of {LEAST_SHOPPERS} returning shoppers" in why
        assert "smallest difference" in why
    worse = compare("no model", np.zeros(39), gains, margin=0, decides=True)
    assert worse.verdict is ModelVerdict.FAILED


def test_equal_models_of_few_shoppers_follow_one_another() -> None:
    base = figures(0.2, 20)
    for lost, expected in ((0.0, ModelVerdict.PASSED), (0.02, ModelVerdict.INCONCLUSIVE)):
        found = compare("production", base - lost, base, margin=MARGIN, decides=True)
        assert found.verdict is expected
        assert found.low < -found.margin, "twenty shoppers do not show it"
    assert "not refuted" in decide([compare("m", base, base, margin=MARGIN, decides=True)], 20)[1]
    gone = compare("production", base * 0, base + 0.6, margin=MARGIN, decides=True)
    assert gone.verdict is ModelVerdict.FAILED


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


NIGHTS, SHOPPERS = 30, 1_500


@dataclasses.dataclass
class Shop:
    """A shop whose shoppers are drawn anew each night; personal lists are twice as good as
    popularity, and a night's model as good as `quality` says."""

    seed: int
    shoppers: int = SHOPPERS
    proven: list[ProvenMargin] = dataclasses.field(default_factory=list)
    refused: list[int] = dataclasses.field(default_factory=list)
    beyond: int = 0
    """Number of models that were not as good as the best one."""
    serves: float = 1.0

    def night(self, quality: float) -> bool:
        """Evaluate a model as a training does; if it passes, it serves from now on."""
        at = len(self.proven) + len(self.refused)
        rng = np.random.default_rng([self.seed, at])
        usual = rng.beta(0.3, 3, self.shoppers)
        popular = usual * rng.uniform(0, 1, self.shoppers)
        # Two models of one recipe differ little on the same shoppers.
        candidate, production = (
            one * usual * rng.normal(1, 0.02, self.shoppers) for one in (quality, self.serves)
        )
        found = [
            compare("production", candidate, production, margin=MARGIN, decides=True),
            compare("popularity", candidate, popular, margin=0.0, decides=True),
        ]
        best = best_margin(self.proven, 0.2)
        if best is not None:
            found.append(compare_with_best(candidate, popular, best, margin=MARGIN))
            self.beyond += found[-1].verdict is not ModelVerdict.PASSED
        passed = decide(found, self.shoppers)[0] is ModelVerdict.PASSED
        if passed:
            self.proven.append(ProvenMargin(f"m{at}", found[1].low, 0.2))
            self.serves = quality
        else:
            self.refused.append(at)
        return passed


@pytest.mark.full
@pytest.mark.slow
def test_models_that_are_a_little_worse_each_night_do_not_pass_for_long() -> None:
    for seed in range(3):
        shop = Shop(seed)
        for _ in range(NIGHTS):
            shop.night(shop.serves * 0.96)
        assert shop.serves > 0.75, "all nights together lose the margin, and what chance hides"
        assert len(shop.refused) > NIGHTS - 10


@pytest.mark.full
@pytest.mark.slow
def test_noise_alone_is_rarely_refused() -> None:
    shops = [Shop(seed, 200) for seed in range(4)]
    for shop in shops:
        for _ in range(NIGHTS):
            shop.night(1.0)
    assert sum(shop.beyond for shop in shops) <= binom.ppf(0.999, NIGHTS * len(shops), 0.05)


@pytest.mark.full
@pytest.mark.slow
def test_models_that_improve_are_not_refused() -> None:
    shop = Shop(1, 200)
    for night in range(NIGHTS):
        shop.night(1.0 + 0.01 * night)
    assert shop.beyond <= 1
    assert shop.serves > 1.2


def test_the_best_model_is_the_measure_and_not_the_last_one() -> None:
    base = figures(0.2, 1_000)
    candidate, best = base - 0.02, ProvenMargin("m", 0.1, 0.2)
    good = compare_with_best(candidate + 0.1, base, best, margin=MARGIN)
    assert (good.against, good.decides) == ("best promoted", True)
    assert good.margin == pytest.approx(MARGIN * (base.mean() + 0.1))
    assert good.verdict is ModelVerdict.FAILED
    assert "promote with force" in decide([good], 1_000)[1]
    close = compare_with_best(candidate + 0.11, base, best, margin=MARGIN)
    assert close.verdict is ModelVerdict.PASSED
    assert "force" not in decide([close], 1_000)[1]


def test_only_evaluations_that_ask_alike_are_compared() -> None:
    full, more, continued = (
        ProvenMargin(*one) for one in (("a", 0.1, 0.2), ("b", 0.2, 0.2), ("c", 0.4, 0.05))
    )
    known = [full, more, continued]
    assert best_margin(known, 0.2) == more
    assert best_margin(known, 0.1) == continued
    assert best_margin([ProvenMargin("d", -0.1, 0.2)], 0.2) is None
