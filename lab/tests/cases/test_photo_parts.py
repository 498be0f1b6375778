"""The report of all parts of a search by photo, from made hits."""

import numpy as np

from bench.harness.model import GoalVerdict
from lab.cases.photo_parts import ALL_FOUR, ALL_ONE, FITTED, GOALS, PartFigures, goals, table

ROWS = 100


def _found() -> PartFigures:
    right = np.arange(ROWS) % 10 != 0
    better = np.ones(ROWS, np.float64)
    hits = {FITTED: right.astype(np.float64), ALL_ONE: better, ALL_FOUR: better}
    return PartFigures(hits, dict.fromkeys(hits, 11.0), ~right, np.arange(ROWS))


def test_gains_are_paired_with_the_fitted_space_and_one_view() -> None:
    found = _found()

    assert found.level(FITTED).value == 0.9
    assert found.gain(FITTED).high == 0
    assert found.gain(ALL_ONE).value == 0.1 > found.gain(ALL_ONE).low > 0
    assert found.gain(ALL_ONE, found.packed).low == 1


def test_the_table_names_each_row_and_the_goals_say_whether_they_are_met() -> None:
    assert [row[0] for row in table(_found()).rows] == [FITTED, ALL_ONE, ALL_FOUR]
    assert {each.verdict for each in goals(_found())} == {GoalVerdict.MET}
    assert [each.verdict for each in goals(None)] == [GoalVerdict.NOT_MEASURED] * len(GOALS)
