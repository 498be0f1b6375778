"""Goals of exposure: what is owed, and the share that products get over many answers."""

import math
import random

import pytest

from gateway.state.exposure_goals import MOST_BOOST, MOST_OWED, ExposureGoals, exposure
from sightline_rules.controls import Control, ControlKind, apply_boosts

PAGE = 10


def test_exposure_is_discounted_by_the_logarithm_of_the_place():
    assert exposure([0]) == 1
    assert exposure([0, 1]) == pytest.approx(1 + 1 / math.log2(3))
    assert exposure([]) == 0


def test_what_is_owed_is_the_share_of_a_page_less_what_was_got():
    goals = ExposureGoals()
    goals.note("shop", "s/g", ["a", "b", "c"], {"c"}, 0.5)
    everything = exposure(range(3))
    state = goals.of("shop", "s/g")
    assert state.owed == pytest.approx(0.5 * everything - exposure([2]))
    assert state.share == pytest.approx(exposure([2]) / everything)
    assert (state.target, state.answers) == (0.5, 1)
    assert goals.of("shop", "s/other").owed == 0
    goals.note("shop", "s/g", [], {"c"}, 0.5)
    assert goals.of("shop", "s/g").answers == 1, "an empty page shows nothing"


def test_boosts_and_debts_are_bounded():
    goals = ExposureGoals()
    for _ in range(1_000):
        goals.note("shop", "never", ["a"], {"c"}, 1.0)
        goals.note("shop", "always", ["a"], {"a"}, 0.1)
    never, always = goals.of("shop", "never"), goals.of("shop", "always")
    assert (never.owed, never.boost) == (MOST_OWED, MOST_BOOST)
    assert (always.owed, always.boost) == (-MOST_OWED, 0.0)


@pytest.mark.parametrize("target", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("handicap", [0.0, 0.3, 0.8])
def test_the_share_is_reached_over_many_answers(target: float, handicap: float):
    """40 candidates of random relevance, of which every fourth is of the group."""
    draw, goals = random.Random(7), ExposureGoals()
    theirs = frozenset(range(0, 40, 4))
    sums = [0.0, 0.0]
    for answer in range(800):
        scores = [draw.random() - (handicap if row in theirs else 0.0) for row in range(40)]
        order = sorted(range(40), key=lambda row: -scores[row])
        boost = goals.of("shop", "g").boost
        goal = Control("g", ControlKind.BOOST, sorted(theirs), boost=boost)
        line = apply_boosts(order, [scores[row] for row in order], [goal])
        shown = [str(row) for row in line.rows[:PAGE]]
        goals.note("shop", "g", shown, {str(row) for row in theirs}, target)
        if answer >= 200:
            sums[0] += exposure(
                place for place, row in enumerate(line.rows[:PAGE]) if row in theirs
            )
            sums[1] += exposure(range(PAGE))
    share = sums[0] / sums[1]
    natural = 0.25 if not handicap else 0.0
    assert share >= max(target, natural) - 0.02
    if target > natural:
        assert share == pytest.approx(target, abs=0.02), "and not more than that"


def test_merit_is_the_share_of_relevance_before_boosts():
    order, scores = [3, 1, 0, 2], [3.0, 2.0, 1.0, 0.0]
    one = Control("one", ControlKind.BOOST, [0, 2], boost=5.0, by_merit=True)
    other = Control("other", ControlKind.BOOST, [3, 1], boost=0.1, by_merit=True)
    line = apply_boosts(order, scores, [one, other])
    assert line.merits == pytest.approx([1 / 6, 5 / 6])
    equal = apply_boosts(order, [1.0] * 4, [one])
    assert equal.merits == [0.5], "equally relevant"
    assert apply_boosts([], [], [one]).merits == [0.0]


def test_merit_is_computed_for_controls_by_merit_only():
    order, scores = [1, 0], [1.0, 0.0]
    plain = Control("plain", ControlKind.BOOST, [1], boost=0.1)
    assert apply_boosts(order, scores, [plain]).merits == ()
    fair = Control("fair", ControlKind.BOOST, [1], boost=0.1, by_merit=True)
    assert apply_boosts(order, scores, [plain, fair]).merits == [0.0, 1.0]
