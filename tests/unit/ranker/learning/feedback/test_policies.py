"""Other orders than the served one, in shops with a known truth."""

import dataclasses

import numpy as np
import pytest

from ranker.domain.feedback import Feedback
from ranker.learning.feedback.policies import policies

pytestmark = pytest.mark.slow

SIZE, PLACES = 6, 3
LOOKS = np.array([1.0, 0.7, 0.5])
NAMES = ("taste", "visual")
BLENDS = {"m1": {"taste": 1.0}}


def worth(parts: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(-2.0 + parts @ np.array([2.0, 0.5]))))


def shop(answers: int, seed: int = 1) -> tuple[Feedback, np.ndarray]:
    """Return answers with randomized first places, in which two of three neighbours swap with
    probability one half; and the true click probability of each product at the first place."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(answers, SIZE, 2))
    score = parts.sum(axis=2)
    order = np.argsort(-score, axis=1)
    swapped = rng.random(answers) < 0.5
    order[swapped, 0], order[swapped, 1] = order[swapped, 1], order[swapped, 0].copy()
    parts = np.take_along_axis(parts, order[:, :, None], axis=1).reshape(-1, 2)
    rank = np.tile(np.arange(1, SIZE + 1), answers)
    shown = rank <= PLACES
    like = worth(parts)
    clicked = shown & (rng.random(len(rank)) < like * np.append(LOOKS, [0] * 3)[rank - 1])
    rows = len(rank)
    found = Feedback(
        part_names=NAMES,
        versions=("m1",),
        answer=np.repeat(np.arange(answers), SIZE),
        micros=np.zeros(rows, np.int64),
        version=np.zeros(rows, np.int64),
        parts=parts,
        raw_score=parts.sum(axis=1),
        rank=rank,
        place=rank,
        propensity=np.where(rank <= 2, 0.5, 1.0),
        shown=shown,
        weight=shown.astype(float),
        clicked=clicked,
        bought=np.zeros(rows, np.bool_),
        **dict.fromkeys(
            ("shown_micros", "clicked_micros", "bought_micros"), np.zeros(rows, np.int64)
        ),
    )
    return found, like


def truth(feedback: Feedback, like: np.ndarray, scores: np.ndarray) -> float:
    """Return the clicks per first place in the order of `scores`."""
    order = np.lexsort((-scores, feedback.answer)).reshape(-1, SIZE)[:, :PLACES]
    return float((like[order] * LOOKS).mean())


@pytest.fixture(scope="module")
def found():
    feedback, like = shop(3_000)
    candidate = ("m2", {"taste": 4.0})
    estimates = {one.name: one.estimates for one in policies(feedback, BLENDS, candidate)}
    return feedback, like, estimates


def test_what_was_served_is_the_mean_of_what_was_shown(found) -> None:
    feedback, _, estimates = found
    served = estimates["served"]
    mean = feedback.clicked[feedback.shown].mean()
    assert served.ips.value == served.snips.value == served.doubly_robust.value
    assert served.ips.value == pytest.approx(mean)
    assert served.support == pytest.approx(1.0)


def test_the_order_without_chance_is_estimated_from_the_one_with_it(found) -> None:
    feedback, like, estimates = found
    raw, true = estimates["raw_score"], truth(feedback, like, feedback.raw_score)
    served = estimates["served"].snips.value
    assert true > served + 0.005, "chance costs clicks here"
    for one in (raw.ips, raw.snips, raw.doubly_robust):
        assert one.lower <= true <= one.upper
    assert raw.support == pytest.approx(1.0, abs=0.05)
    assert raw.size < raw.count


def test_another_blend_of_the_same_parts_is_set_apart_by_its_support(found) -> None:
    feedback, like, estimates = found
    other = estimates["blend of m2"]
    true = truth(feedback, like, feedback.parts @ np.array([4.0, 1.0]))
    assert other.support < 0.9, "much of what it would show was never shown"
    assert other.doubly_robust.lower <= true <= other.doubly_robust.upper


def test_a_part_that_was_left_out_can_not_be_weighed() -> None:
    feedback, _ = shop(50)
    assert [one.name for one in policies(feedback, {}, ("m2", {"taste": 1.0}))] == [
        "served",
        "raw_score",
    ]


def test_where_the_chance_is_not_known_other_orders_are_not_measured() -> None:
    feedback, _ = shop(400)
    unknown = dataclasses.replace(feedback, propensity=np.zeros(len(feedback)))
    served, raw = (one.estimates for one in policies(unknown, BLENDS))
    assert (raw.count, raw.refusal.startswith("NOT MEASURED")) == (0, True)
    assert served.count == 400 * PLACES, "of what was served no chance has to be known"
