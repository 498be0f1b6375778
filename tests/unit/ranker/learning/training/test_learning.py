"""Blend and calibration from simulated shoppers, who examine the first places most."""

import dataclasses

import numpy as np
import pytest

from ranker.domain.events import EventType
from ranker.domain.feedback import Feedback
from ranker.domain.recipe import PartBlend
from ranker.learning.training.learning import (
    LEAST_COMPARED,
    LEAST_EVENTS,
    LEAST_IMPRESSIONS,
    ImpressionFit,
    learn,
)

pytestmark = pytest.mark.slow

NAMES = ("session", "taste", "visual")
WORTH = np.array([0.5, 2.0, 1.0])
"""Shoppers' preferences, by `NAMES`; similarity has the weight 1."""
SERVED = {"v1": {"taste": 1.0, "session": 2.0}, "v2": {"taste": 0.5, "session": 4.0}}
DEFAULT = PartBlend({"taste": 1.0, "session": 2.0, "popularity": 1.0}, "validation", 500)
SIZE = 10


def feedback(
    answers: int = 3_000, seed: int = 1, worth=WORTH, base: float = -2.0, noise: float = 1.0
) -> Feedback:
    """Return answers of two models, each ordered by its own blend; half report the position."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(answers, SIZE, len(NAMES)))
    version = rng.integers(2, size=answers)
    blends = np.array([[SERVED[one].get(name, 1.0) for name in NAMES] for one in ("v1", "v2")])
    parts = raw * blends[version][:, None, :]
    order = np.argsort(-parts.sum(axis=2), axis=1)[:, :, None]
    raw, parts = (np.take_along_axis(one, order, axis=1).reshape(-1, 3) for one in (raw, parts))
    rank = np.tile(np.arange(1, SIZE + 1), answers)
    like = 1 / (1 + np.exp(-(base + noise * (raw @ worth))))
    rows = len(rank)
    clicked = rng.random(rows) < like / rank**0.7
    return Feedback(
        part_names=NAMES,
        versions=("v1", "v2"),
        answer=np.repeat(np.arange(answers), SIZE),
        micros=np.repeat(np.arange(answers), SIZE),
        version=np.repeat(version, SIZE),
        parts=parts,
        raw_score=parts.sum(axis=1),
        rank=rank,
        place=rank,
        propensity=np.ones(rows),
        shown=np.ones(rows, np.bool_),
        weight=np.ones(rows),
        clicked=clicked,
        bought=np.zeros(rows, np.bool_),
        **dict.fromkeys(
            ("shown_micros", "clicked_micros", "bought_micros"), np.zeros(rows, np.int64)
        ),
    )


@pytest.fixture(scope="module")
def learned() -> ImpressionFit:
    return learn(feedback(), SERVED, DEFAULT)


def test_the_worth_of_the_parts_against_similarity_comes_back(learned: ImpressionFit) -> None:
    assert learned.blend.learned_from == "impressions"
    assert learned.blend.weights["taste"] == pytest.approx(2.0, abs=0.35)
    assert learned.blend.weights["session"] == pytest.approx(0.5, abs=0.15)
    assert learned.blend.weights["popularity"] == 1.0, "of which nothing was learned"
    assert learned.blend.sample_count == 18_000
    assert learned.gain is not None
    assert learned.gain.lower > 0
    assert learned.decisions[0].startswith(
        "blend: learned from impressions; chosen products rank higher by +"
    )


def test_a_default_that_is_right_stays(learned: ImpressionFit) -> None:
    right = PartBlend({"taste": 2.0, "session": 0.5, "popularity": 1.0}, "validation", 500)
    found = learn(feedback(), SERVED, right)
    assert found.blend is right
    assert "not significantly better" in found.decisions[0]
    assert found.calibration is not None, "scores can be calibrated all the same"


def test_without_similarities_scores_keep_their_size() -> None:
    some = feedback(worth=np.array([0.5, 2.0, 0.0]))
    parts = some.parts.copy()
    parts[:, 2] = 0
    found = learn(dataclasses.replace(some, parts=parts), SERVED, DEFAULT)
    weights = found.blend.weights
    assert weights["taste"] / weights["session"] == pytest.approx(4.0, rel=0.3)
    assert np.hypot(weights["taste"], weights["session"]) == pytest.approx(np.hypot(1, 2), rel=0.05)


def test_a_score_is_the_chance_of_a_click_when_looked_at(learned: ImpressionFit) -> None:
    calibration = learned.calibration
    assert calibration is not None
    assert calibration.event is EventType.CLICK
    assert calibration.sample_count == 6_000
    assert (np.diff(calibration.raw_scores) > 0).all()
    assert (np.diff(calibration.chances) >= 0).all()
    weights, rng = learned.blend.weights, np.random.default_rng(9)
    raw = rng.normal(size=(5_000, 3))
    score = raw @ np.array([weights["session"], weights["taste"], 1.0])
    chance = np.interp(score, calibration.raw_scores, calibration.chances)
    truth = 1 / (1 + np.exp(-(-2.0 + raw @ WORTH)))
    assert np.abs(chance - truth).mean() < 0.03


def test_the_calibration_is_reliable_on_other_answers(learned: ImpressionFit) -> None:
    assert learned.calibration_error < 0.015
    assert len(learned.reliability) == 10
    assert sum(one.count for one in learned.reliability) == 6_000
    predicted = [one.predicted for one in learned.reliability]
    assert predicted == sorted(predicted)


def test_scores_that_say_nothing_have_one_chance() -> None:
    found = learn(feedback(worth=np.zeros(3), base=-1.0), SERVED, DEFAULT)
    assert found.blend is DEFAULT
    assert found.calibration is not None
    assert np.ptp(found.calibration.chances) < 0.12
    assert found.calibration.chances.mean() == pytest.approx(1 / (1 + np.e), abs=0.06)


def test_the_same_impressions_teach_the_same(learned: ImpressionFit) -> None:
    again = learn(feedback(), SERVED, DEFAULT)
    assert again.blend == learned.blend
    assert again.gain == learned.gain


@pytest.mark.parametrize(
    ("answers", "base", "why"),
    [
        (0, -2.0, "impressions to learn from: 0 with 0 of CLICK"),
        (800, -2.0, "impressions to learn from: 4,800"),
        (1_500, -7.0, "impressions to learn from: 9,000 with"),
    ],
)
def test_too_few_impressions_leave_the_default(answers: int, base: float, why: str) -> None:
    found = learn(feedback(answers, base=base, worth=np.zeros(3)), SERVED, DEFAULT)
    assert (found.blend, found.calibration, found.gain) == (DEFAULT, None, None)
    assert why in found.decisions[0]
    assert f"at least {LEAST_IMPRESSIONS:,} with {LEAST_EVENTS:,}" in found.decisions[0]


def test_too_few_answers_to_compare_leave_the_default() -> None:
    some = feedback()
    late = some.answer >= 1_850
    found = learn(dataclasses.replace(some, clicked=some.clicked & ~late), SERVED, DEFAULT)
    assert found.blend is DEFAULT
    assert f"at least {LEAST_COMPARED}" in found.decisions[0]
    assert found.decisions[1].startswith("calibration: none; 6,000 impressions with 0 of CLICK")


def test_answers_of_models_whose_blend_is_not_known_are_left_out() -> None:
    found = learn(feedback(), {"v1": SERVED["v1"]}, DEFAULT)
    assert 14_000 < found.impressions < 16_000


def test_answers_of_models_that_left_a_part_out_are_left_out() -> None:
    without = {"v1": SERVED["v1"], "v2": {"taste": 0.5}}
    assert 14_000 < learn(feedback(), without, DEFAULT).impressions < 16_000
    of_taste = PartBlend({"taste": 1.0, "popularity": 1.0})
    assert learn(feedback(), without, of_taste).impressions == 30_000, "it is not asked for"


def test_a_part_that_is_worth_nothing_stays_in_the_records() -> None:
    found = learn(feedback(worth=np.array([0.0, 2.0, 1.0])), SERVED, DEFAULT)
    assert found.blend.learned_from == "impressions"
    assert 0.1 <= found.blend.weights["session"] < 0.2


def test_purchases_can_be_what_a_choice_is() -> None:
    some = feedback()
    bought = dataclasses.replace(some, bought=some.clicked, clicked=np.zeros_like(some.clicked))
    found = learn(bought, SERVED, DEFAULT, EventType.PURCHASE)
    assert found.calibration is not None
    assert found.calibration.event is EventType.PURCHASE
    assert learn(bought, SERVED, DEFAULT).calibration is None


@pytest.mark.full
def test_purchases_are_calibrated_by_the_same_scores_and_places(learned: ImpressionFit) -> None:
    """Let half of the clicks lead to purchases."""
    some = feedback(12_000, base=-1.0)
    half = np.random.default_rng(3).random(len(some)) < 0.5
    found = learn(dataclasses.replace(some, bought=some.clicked & half), SERVED, DEFAULT)
    assert learned.purchases is None
    assert learned.purchases_per_click == 0
    assert learned.decisions[2].startswith(
        "calibration: none; 6,000 impressions with 0 of PURCHASE"
    )
    assert found.calibration is not None
    assert found.purchases is not None
    assert found.purchases.event is EventType.PURCHASE
    assert found.purchases_per_click == pytest.approx(0.5, abs=0.02)
    scores = np.linspace(-2, 4, 50)
    clicks, purchases = (
        np.interp(scores, one.raw_scores, one.chances)
        for one in (found.calibration, found.purchases)
    )
    assert np.abs(purchases - clicks / 2).mean() < 0.03
    assert len(found.by_place) == 51
    assert found.by_place[0] == 1.0
    assert found.by_place[10] == found.by_place[19] == found.examination["11"]


def test_few_purchases_give_their_rate_alone() -> None:
    some = feedback()
    half = np.random.default_rng(3).random(len(some)) < 0.5
    found = learn(dataclasses.replace(some, bought=some.clicked & half), SERVED, DEFAULT)
    assert found.purchases is None
    assert found.purchases_per_click == pytest.approx(0.5, abs=0.03)
    assert "of PURCHASE; at least 2,000 with 1,000 are needed" in found.decisions[2]
