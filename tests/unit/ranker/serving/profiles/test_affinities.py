import numpy as np
import pytest

from ranker.domain.model import ProductFeatures
from ranker.serving.profiles.affinities import affinities, with_feature


def described(rows: dict[str, list[str]], shares: dict[str, float]) -> ProductFeatures:
    names = tuple(sorted(shares))
    features = [sorted(names.index(name) for name in row) for row in rows.values()]
    return ProductFeatures(
        names=names,
        starts=np.cumsum([0, *map(len, features)]),
        features=np.array([one for row in features for one in row], np.int32),
        shares=np.array([shares[name] for name in names], np.float32),
    )


SHOP = described(
    {"r1": ["red", "cheap"], "r2": ["red"], "w1": ["white", "cheap"], "plain": []},
    {"red": 0.25, "white": 0.75, "cheap": 0.5},
)
CHEAP, RED, WHITE = (SHOP.names.index(name) for name in ("cheap", "red", "white"))


def test_what_they_like_as_everybody_does_is_no_affinity() -> None:
    found = affinities(SHOP, np.array([0, 1, 2]), np.array([0.5, 0.5, 3.0]))
    assert found.shares[RED] == pytest.approx(0.25)
    assert found.strengths[RED] == pytest.approx(0, abs=1e-7)


def test_liking_nothing_else_is_an_affinity_of_one_less_a_discount_for_little_evidence() -> None:
    for weight in (0.5, 2.0, 1000.0):
        found = affinities(SHOP, np.array([1]), np.array([weight]))
        assert found.shares[RED] == 1
        assert found.strengths[RED] == pytest.approx(weight / (weight + 2), rel=1e-6)


def test_a_share_counts_by_how_far_it_goes_beyond_the_usual_one() -> None:
    found = affinities(SHOP, np.array([0, 2]), np.array([1.5, 0.5]))
    # 3/4 of the interest is in red, 1/4 of everybody's: 2/3 of the way to all, discounted by 1.5.
    assert found.strengths[RED] == pytest.approx((0.75 - 0.25) / 0.75 * 1.5 / 3.5)
    assert found.strengths[WHITE] == 0
    assert found.strengths[CHEAP] == pytest.approx(1 * 2 / 4)


def test_products_without_features_dilute_and_no_products_are_no_affinity() -> None:
    found = affinities(SHOP, np.array([1, 3]), np.array([1.0, 1.0]))
    assert found.shares[RED] == 0.5
    nothing = affinities(SHOP, np.zeros(0, np.int64), np.zeros(0))
    assert not nothing.strengths.any()


def test_a_feature_that_all_interest_has_says_nothing_of_anybody() -> None:
    everything = described({"a": ["all"]}, {"all": 1.0})
    assert affinities(everything, np.array([0]), np.array([5.0])).strengths.tolist() == [0]


def test_an_affinity_knows_the_products_behind_it() -> None:
    rows = np.array([2, 3, 0, 1])
    assert with_feature(SHOP, rows, RED).tolist() == [2, 3]
    assert with_feature(SHOP, rows, CHEAP).tolist() == [0, 2]
    assert with_feature(SHOP, np.array([3]), RED).tolist() == []
