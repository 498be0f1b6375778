"""Goals of exposure: what is owed, and the share that products get over many answers."""

import math
import random

import pytest
from structlog.testing import capture_logs

from gateway.state.exposure_goals import (
    MOST_BOOST,
    MOST_OWED,
    SURPLUS_PAGES,
    UNMATCHED,
    UNMATCHED_ANSWERS,
    ExposureGoals,
    exposure,
)
from sightline_rules.controls import Control, ControlKind, apply_boosts

PAGE = 10


def test_exposure_is_discounted_by_the_logarithm_of_the_place():
    assert exposure([0]) == 1
    assert exposure([0, 1]) == pytest.approx(1 + 1 / math.log2(3))
    assert exposure([]) == 0


def test_what_is_owed_is_the_share_of_a_page_less_what_was_got():
    goals = ExposureGoals()
    goals.note("shop", "s/g", ["a", "b", "c"], {"c"}, 0.5, caller="web")
    everything = exposure(range(3))
    state = goals.of("shop", "s/g")
    assert state.owed == pytest.approx({"web": 0.5 * everything - exposure([2])})
    assert state.share == pytest.approx(exposure([2]) / everything)
    assert (state.target, state.answers) == (0.5, 1)
    assert goals.of("shop", "s/other").owed == {}
    goals.note("shop", "s/g", [], {"c"}, 0.5, caller="web")
    assert goals.of("shop", "s/g").answers == 1, "an empty page shows nothing"


def test_boosts_and_debts_are_bounded():
    goals = ExposureGoals()
    for _ in range(1_000):
        goals.note("shop", "never", ["a"], {"c"}, 1.0, caller="web")
    assert goals.of("shop", "never").owed == {"web": MOST_OWED}
    assert goals.boost("shop", "never", "web") == MOST_BOOST


def test_an_answer_counts_at_most_as_a_page_of_ten_products():
    goals = ExposureGoals()
    goals.note("shop", "g", [str(n) for n in range(200)], {"none"}, 0.5, caller="web")
    assert goals.of("shop", "g").owed == pytest.approx({"web": 0.5 * exposure(range(PAGE))})


def test_one_callers_answers_move_a_goal_in_its_own_answers_only():
    goals = ExposureGoals()
    ordinary = [str(n) for n in range(PAGE)]
    for _ in range(50):
        goals.note("shop", "g", ordinary, {"theirs"}, 0.1, caller="web")
    before = goals.boost("shop", "g", "web")
    assert before > 0
    for _ in range(45):
        goals.note("shop", "g", ["theirs"], {"theirs"}, 0.1, caller="attacker")
        goals.note("shop", "g", ordinary, {"theirs"}, 0.9, caller="another")
    assert goals.boost("shop", "g", "attacker") == 0
    assert goals.boost("shop", "g", "another") == MOST_BOOST
    assert goals.boost("shop", "g", "web") == before


@pytest.mark.parametrize("target", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("attack", [["theirs"], ["theirs", *map(str, range(9))]])
def test_a_goal_that_got_too_much_acts_again_after_few_pages(target: float, attack: list[str]):
    goals = ExposureGoals()
    for _ in range(45):
        goals.note("shop", "g", attack, {"theirs"}, target, caller="web")
    pages = 0
    while goals.boost("shop", "g", "web") == 0:
        goals.note("shop", "g", [str(n) for n in range(PAGE)], {"theirs"}, target, caller="web")
        pages += 1
    first_place = 1 / (target * exposure(range(PAGE)))  # for a small share, more than ten pages
    assert pages <= max(SURPLUS_PAGES, first_place) + 1


def test_a_goal_without_candidates_is_shown_and_logged_once():
    goals = ExposureGoals()
    with capture_logs() as log:
        for _ in range(UNMATCHED + 5):
            goals.note_unmatched("shop", "s/none")
        assert unmatched("shop s/none") == UNMATCHED + 5
    (line,) = log
    assert (line["goal"], line["catalog_id"], line["answers"]) == ("s/none", "shop", UNMATCHED)
    goals.note("shop", "s/none", ["a"], {"a"}, 0.5, caller="web")
    assert unmatched("shop s/none") == 0


def unmatched(goal: str) -> float:
    return UNMATCHED_ANSWERS.labels(goal)._value.get()


@pytest.mark.first(2)
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
        boost = goals.boost("shop", "g", "web")
        goal = Control("g", ControlKind.BOOST, sorted(theirs), boost=boost)
        line = apply_boosts(order, [scores[row] for row in order], [goal])
        shown = [str(row) for row in line.rows[:PAGE]]
        goals.note("shop", "g", shown, {str(row) for row in theirs}, target, caller="web")
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
