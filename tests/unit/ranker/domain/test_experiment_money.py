"""Revenue and margin of an experiment's units, and the intervals of ratios to impressions."""

import numpy as np
import pytest

from ranker.domain.experiment_money import (
    ArmMoney,
    KnownOffer,
    RatioMoments,
    UnitPurchase,
    money_by_arm,
)
from ranker.domain.experiments import ArmCounts, effect_of
from ranker.domain.online import Moments

OFFERS = {"wine": KnownOffer(10.0, 4.0), "beer": KnownOffer(3.0, None)}


def bought(
    product_id: str = "wine",
    price: float | None = None,
    pieces: int = 1,
    *,
    actor: str = "ann",
    priced: bool | None = None,
) -> UnitPurchase:
    priced = price is not None if priced is None else priced
    return UnitPurchase(actor, "a", 4, product_id, price, priced, pieces)


def money(*purchases: UnitPurchase) -> ArmMoney:
    return money_by_arm(purchases, OFFERS)["a"]


def test_a_purchase_counts_at_its_own_price_else_at_that_of_the_product() -> None:
    own, products = money(bought(price=8.0, pieces=2)), money(bought(pieces=2))
    assert (own.units["ann"].revenue, own.units["ann"].margin) == (16, 8)
    assert (products.units["ann"].revenue, products.units["ann"].margin) == (20, 12)
    assert (own.unpriced, own.uncosted) == (0, 0)


def test_what_is_unknown_counts_nothing_and_is_counted() -> None:
    found = money(
        bought("beer", 5.0),
        bought("beer", pieces=2),
        bought("gone"),
        bought(price=None, priced=True, pieces=3),  # paid in another currency
    )
    assert (found.units["ann"].revenue, found.units["ann"].margin) == (11, 0)
    assert (found.unpriced, found.uncosted) == (4, 7)


def test_a_margin_may_be_negative() -> None:
    found = money(bought(price=1.0)).samples(Moments(2, 8, 32), costed=True)
    assert found["margin"].mean == pytest.approx(-1.5)
    assert found["margin_per_impression"].mean == pytest.approx(-3 / 8)
    assert "margin" not in money(bought()).samples(Moments(2, 8, 32), costed=False)


def test_money_is_summed_by_unit_before_it_is_squared() -> None:
    found = money(bought(price=3.0), bought(price=5.0), bought(price=1.0, actor="bob"))
    revenue = found.samples(Moments(4, 16, 64), costed=False)["revenue"]
    assert isinstance(revenue, Moments)
    assert (revenue.count, revenue.total, revenue.squares) == (4, 9, 65)


UNITS, RUNS = 400, 300


def sample(chance: np.random.Generator, lift: float = 0.0) -> RatioMoments:
    """Return an arm whose few frequent units see and buy most: as dependent as shoppers are."""
    shown = 1 + chance.negative_binomial(0.5, 0.05, UNITS)
    orders = chance.poisson(0.05 * shown)
    paid = orders * chance.lognormal(2, 1, UNITS) * (1 + lift)
    return RatioMoments(
        UNITS,
        float(paid.sum()),
        float(paid @ paid),
        Moments(UNITS, float(shown.sum()), float(shown @ shown)),
        float(paid @ shown),
    )


def test_the_variance_of_a_ratio_is_that_between_repetitions() -> None:
    found = [sample(np.random.default_rng(seed)) for seed in range(RUNS)]
    between = np.var([each.mean for each in found], ddof=1)
    predicted = np.mean([each.variance / each.count for each in found])
    assert predicted == pytest.approx(between, rel=0.25)


def test_intervals_cover_the_true_difference_although_units_are_unequal() -> None:
    covered = 0
    for seed in range(RUNS):
        chance = np.random.default_rng(seed)
        arms = [
            ArmCounts(
                "any",
                UNITS,
                {
                    "revenue_per_impression": sample(chance),
                    "conversion_rate": Moments(UNITS, 100, 100),
                },
            )
            for _ in range(2)
        ]
        effect = effect_of(arms[0], arms[1], "revenue_per_impression", 2 * UNITS)
        assert effect is not None
        covered += effect.lower <= 0 <= effect.upper
    assert covered >= 0.95 * RUNS


def test_without_impressions_there_is_no_ratio() -> None:
    empty = RatioMoments(0, 0, 0, Moments(0, 0, 0), 0)
    assert (empty.mean, empty.variance) == (0, 0)
