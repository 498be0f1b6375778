"""Rejected and detected shares, on vectors with known answers."""

from dataclasses import replace

import numpy as np
import pytest

from embedder.domain.fitted import MATCH_SHARES, Floats
from lab.cases.no_good_match import (
    CLOTHES,
    LEARNED,
    MEASURED,
    NEAREST,
    OWN,
    RELATIVE,
    Booleans,
    MatchCase,
    best_of,
    shares,
)

PRODUCTS, EACH = 40, 5
DRAW = np.random.default_rng(3)


def case(spread: float) -> MatchCase:
    """Return products in separate directions, and photos around each, at a distance by `spread`."""
    middles = DRAW.standard_normal((PRODUCTS, 32))

    def photos() -> Floats:
        found = np.repeat(middles, EACH, axis=0)
        found = found + spread * DRAW.standard_normal(found.shape)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    products = np.repeat(np.arange(PRODUCTS), EACH)
    held, asked = photos(), photos()
    among = best_of(held @ held.T, products, PRODUCTS)
    among[np.arange(len(products)), products] = -np.inf
    return MatchCase(best_of(asked @ held.T, products, PRODUCTS), products, among, products)


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


def test_where_photos_say_nothing_of_their_product_nothing_sets_them_apart() -> None:
    made = case(20.0)
    found = shares([made], [held(10)], made.asked)

    assert found[NEAREST]["area"].value == pytest.approx(0.5, abs=0.12)
    assert found[NEAREST]["caught"].value < 0.25


def test_a_threshold_is_judged_on_queries_that_it_was_not_learned_on() -> None:
    made = case(2.0)
    found = shares([made] * 5, [held(8)] * 5, made.asked)

    assert 0.0 < found[LEARNED]["refused"].value < 0.2
    assert found[LEARNED]["refused"].value != found[NEAREST]["refused"].value
    assert "clothes" not in found[LEARNED]


def test_photos_of_nothing_that_is_sold_are_a_kind_of_their_own() -> None:
    made = case(0.2)
    asked = np.append(made.asked, [CLOTHES] * 3)
    near = np.concatenate(
        [made.near, np.linspace(-0.9, -0.5, 3 * PRODUCTS, dtype=np.float32).reshape(3, PRODUCTS)]
    )
    found = shares([replace(made, near=near, asked=asked)], [held(8)], asked)

    assert found[NEAREST]["clothes"].value == 1.0
    assert found[NEAREST]["refused"].value == pytest.approx(0.05, abs=0.01)


def test_a_query_is_judged_against_good_matches_of_its_category() -> None:
    """Good matches of even products have 0.8, of odd ones 0.5, and queries without one 0.65."""
    made = case(0.2)
    even = made.asked % 2 == 0
    good = np.where(even, 0.8, 0.5)
    near = np.where(made.asked < 8, 0.65, good)[:, None].repeat(PRODUCTS, axis=1)
    cosines = good[:, None] + np.linspace(-0.05, 0.0, len(MATCH_SHARES))
    judged = replace(made, near=near.astype(np.float32), cosines=cosines.astype(np.float32))
    found = shares([judged], [held(8)], made.asked)

    assert found[MEASURED]["refused"].value == 0.0
    assert found[MEASURED]["caught"].value == found[RELATIVE]["caught"].value == 0.5
    assert found[NEAREST]["caught"].value == 0.0
    assert MEASURED not in shares([made], [held(8)], made.asked)
