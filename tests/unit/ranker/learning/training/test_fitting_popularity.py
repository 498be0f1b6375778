"""Popularity and its trend."""

import numpy as np
import pytest

from ranker.domain.events import DAY_MICROS, EventType, Interaction
from ranker.domain.log import log_of
from ranker.domain.signals import Interests, Signals, interests
from ranker.learning.training.sums import (
    LEARNERS,
    TREND_HALF_LIFE_DAYS,
    TREND_SHRINKAGE,
    popularity,
    trend,
)
from sightline_core.parts import BY_NEIGHBOURS, BY_NUMBER

IDS = ("new", "old", "rare", "steady")


def liked(days: dict[str, list[float]]) -> Interests:
    """Return interests, each of another shopper, this many days ago."""
    events = [
        Interaction(f"{item}{n}", item, EventType.CLICK, None, int(-ago * DAY_MICROS), f"{item}{n}")
        for item, agos in days.items()
        for n, ago in enumerate(agos)
    ]
    return interests(log_of(events), Signals(half_life_days=float("inf")))


ALL = liked(
    {"new": [0] * 40, "old": [300] * 40, "steady": [0, 300] * 20, "rare": [0], "gone": [0] * 90}
)


def test_every_learned_part_has_a_learner() -> None:
    assert LEARNERS.keys() == {*BY_NEIGHBOURS, *BY_NUMBER}


def test_popularity_is_the_share_of_the_most_popular_product_of_the_model() -> None:
    assert popularity(ALL, IDS).tolist() == pytest.approx([1, 1, 1 / 40, 1])


def test_old_interest_counts_for_less() -> None:
    events = [
        Interaction("u", "old", EventType.CLICK, None, 0, "1"),
        Interaction("u", "new", EventType.CLICK, None, 365 * DAY_MICROS, "2"),
    ]
    assert popularity(interests(log_of(events)), ("new", "old")) == pytest.approx([1, 0.5])


def test_the_trend_rises_for_what_is_liked_of_late() -> None:
    new, old, rare, steady = trend(ALL, IDS)
    assert new > 0.5
    assert old < -1
    assert abs(steady) < 0.3
    assert 0 < rare < 0.1, "one affinity is no trend"


def test_the_trend_is_the_shrunk_ratio_of_recent_interest_to_what_was_expected() -> None:
    found = liked({"new": [0, TREND_HALF_LIFE_DAYS], "old": [2 * TREND_HALF_LIFE_DAYS] * 4})
    recent = np.array([1.5, 1.0])
    expected = np.array([2, 4]) * recent.sum() / 6
    ratio = (recent + TREND_SHRINKAGE) / (expected + TREND_SHRINKAGE)
    np.testing.assert_allclose(trend(found, ("new", "old")), np.log2(ratio), rtol=1e-6)


def test_nothing_liked_is_neither_popular_nor_rising() -> None:
    nothing = liked({})
    assert not popularity(nothing, IDS).any()
    assert not trend(nothing, IDS).any()
