"""Shares that are refused and caught, on vectors whose answer is known."""

import numpy as np
import pytest

from bench.cases.no_good_match import (
    NEAREST,
    OWN,
    PHONE,
    PLAIN,
    Booleans,
    Case,
    best_of,
    goals,
    shares,
)
from bench.harness.model import Verdict
from embedder.domain.fitted import Floats

PRODUCTS, EACH = 40, 5
DRAW = np.random.default_rng(3)


def case(spread: float) -> Case:
    """Products in directions of their own, and photos about each, the wider the more spread."""
    middles = DRAW.standard_normal((PRODUCTS, 32))

    def photos() -> Floats:
        found = np.repeat(middles, EACH, axis=0)
        found = found + spread * DRAW.standard_normal(found.shape)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    products = np.repeat(np.arange(PRODUCTS), EACH)
    held, asked = photos(), photos()
    among = best_of(held @ held.T, products, PRODUCTS)
    among[np.arange(len(products)), products] = -np.inf
    return Case(best_of(asked @ held.T, products, PRODUCTS), products, among, products)


def held(count: int) -> Booleans:
    return np.arange(PRODUCTS) < count


def test_what_is_far_from_all_products_is_caught_and_what_is_near_one_is_not() -> None:
    made = case(0.2)
    found = shares([made, made], [held(8), held(12)], made.asked)

    assert found[NEAREST]["refused"].value == pytest.approx(0.05, abs=0.01)
    assert found[NEAREST]["caught"].value > 0.95
    assert found[NEAREST]["area"].value > 0.99
    # Photos are nearer to their own product than products are to one another: few are refused.
    assert found[OWN]["refused"].value <= 0.01
    assert found[OWN]["refused"].low <= found[OWN]["refused"].value <= found[OWN]["refused"].high


def test_where_photos_say_nothing_of_their_product_nothing_can_be_told() -> None:
    made = case(20.0)
    found = shares([made], [held(10)], made.asked)

    assert found[NEAREST]["area"].value == pytest.approx(0.5, abs=0.12)
    assert found[NEAREST]["caught"].value < 0.25


def test_goals_without_data_are_not_measured() -> None:
    assert {goal.verdict for goal in goals({})} == {Verdict.NOT_MEASURED}
    made = case(0.2)
    found = shares([made], [held(8)], made.asked)
    met, missing = goals({f"{PLAIN}, {PHONE}": found})
    assert (met.verdict, missing.verdict) == (Verdict.MET, Verdict.NOT_MEASURED)
