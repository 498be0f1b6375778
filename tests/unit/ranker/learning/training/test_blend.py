"""Weights are found where they matter and stay unchanged where they do not."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from ranker.domain.recipe import PartBlend
from ranker.learning.training.blend import POOL, BlendCase, Cases, choose, gathered

GIVEN = PartBlend({"taste": 1.0, "session": 1.0, "trend": 1.0, "popularity": 0.5})


def drawn(
    shoppers: int, useful: dict[str, float], products: int = 40, seed: int = 0
) -> list[BlendCase]:
    """Return shoppers who want the products that these parts together score highest; other parts
    are noise."""
    draw = np.random.default_rng(seed)
    cases = []
    for _ in range(shoppers):
        parts = {name: draw.normal(size=products) for name in ("taste", "session", "trend")}
        truth = sum(weight * parts[name] for name, weight in useful.items())
        wanted = np.zeros(products, dtype=bool)
        wanted[np.argsort(-(truth + 0.2 * draw.normal(size=products)))[:4]] = True
        cases.append(BlendCase(parts, wanted))
    return cases


def ndcg(case: BlendCase, weights: dict[str, float]) -> float:
    """Compute nDCG over all products, independently."""
    scores = sum(weights.get(name, 0.0) * values for name, values in case.parts.items())
    first = np.argsort(-np.asarray(scores), kind="stable")[:10]
    discounts = 1 / np.log2(np.arange(2, 12))
    found = (case.wanted[first] * discounts[: len(first)]).sum()
    return float(found / discounts[: min(10, case.wanted.sum())].sum())


def test_gains_are_those_of_the_whole_catalog_though_only_pools_are_kept() -> None:
    cases = drawn(20, {"taste": 1.0, "session": 0.5}, products=5 * POOL)
    weights = {"taste": 1.0, "session": 0.7}
    kept = gathered(cases)
    assert kept.wanted.shape[1] < 5 * POOL
    np.testing.assert_allclose(kept.gains(weights), [ndcg(case, weights) for case in cases])


def test_only_one_shopper_s_whole_catalog_is_held_while_the_next_one_is_made() -> None:
    """A shopper's parts of a million products take 40 MB; only the last one's may remain."""
    made: list[weakref.ref[np.ndarray]] = []

    def shoppers() -> Iterator[BlendCase]:
        for case in drawn(10, {"taste": 1.0}, products=5 * POOL):
            assert sum(values() is not None for values in made) <= len(case.parts)
            whole = {name: values.copy() for name, values in case.parts.items()}
            made.extend(map(weakref.ref, whole.values()))
            yield BlendCase(whole, case.wanted)
            del whole

    assert len(gathered(shoppers()).best) == 10


def test_shoppers_may_lack_parts_and_have_few_products() -> None:
    cases = [
        BlendCase({"taste": np.array([1.0, 2.0])}, np.array([True, False])),
        BlendCase({"taste": np.zeros(15), "trend": np.arange(15.0)}, np.arange(15) == 14),
        BlendCase({"taste": np.zeros(3)}, np.zeros(3, dtype=bool)),
    ]
    kept = gathered(cases)
    assert len(kept.best) == 2, "the last one wants nothing"
    np.testing.assert_allclose(kept.gains({"taste": 1.0, "trend": 1.0}), [1 / np.log2(3), 1.0])


def test_parts_that_only_disturb_go_and_the_sum_of_the_weights_stays() -> None:
    found = choose(gathered(drawn(250, {"taste": 1.0, "session": 0.5})), GIVEN)
    assert (found.learned_from, found.sample_count) == ("validation", 250)
    assert set(found.weights) == {"taste", "session", "popularity"}
    assert found.weights["popularity"] == 0.5
    assert found.weights["taste"] + found.weights["session"] == pytest.approx(3.0, abs=0.01)
    assert 1.4 < found.weights["taste"] / found.weights["session"] < 2.8


def test_a_part_that_was_left_out_comes_in() -> None:
    given = PartBlend({"taste": 1.0})
    found = choose(gathered(drawn(250, {"taste": 1.0, "trend": 1.0})), given)
    assert found.weights["trend"] > 0.2


def test_what_is_good_already_stays_as_it_was_given() -> None:
    given = PartBlend({"taste": 1.0, "session": 0.5})
    assert choose(gathered(drawn(250, dict(given.weights))), given) is given


@pytest.mark.parametrize("shoppers", [0, 1])
def test_too_few_shoppers_choose_nothing(shoppers: int) -> None:
    assert choose(gathered(drawn(shoppers, {"taste": 1.0})), GIVEN) is GIVEN


def test_the_same_cases_give_the_same_blend() -> None:
    cases: Cases = gathered(drawn(40, {"taste": 1.0, "trend": 0.3}))
    assert choose(cases, GIVEN, seed=3) == choose(cases, GIVEN, seed=3)
