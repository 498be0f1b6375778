"""The tables of the bench of accuracy, and its result without photos."""

import numpy as np
import pytest

from bench.harness.model import GoalVerdict
from embedder.domain.fitted import SpaceFigure
from embedder.fitting.measuring import NEAREST
from lab.cases import accuracy, accuracy_report
from lab.cases.accuracy_report import AccuracyFigures


@pytest.mark.parametrize("given", ["", "/nowhere"])
def test_without_the_photos_every_goal_is_not_measured(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_DATA", given)
    result = accuracy.run(pytest.fail)
    assert len(result.warnings) == 2
    assert {goal.verdict for goal in result.goals} == {GoalVerdict.NOT_MEASURED}


def test_the_gate_is_met_where_the_whole_gain_is_above_nothing() -> None:
    def gate(low: float) -> GoalVerdict:
        figure = SpaceFigure(NEAREST, 0.7, 0.6, 0.8, 296, 0.6, low, 0.2)
        return accuracy_report.goals(AccuracyFigures({}, {accuracy_report.VAL_ONE: (figure,)}))[
            0
        ].verdict

    assert gate(0.01) is GoalVerdict.MET
    assert gate(-0.01) is GoalVerdict.MISSED


@pytest.mark.parametrize(
    ("low", "verdict"), [(-0.04, GoalVerdict.MET), (-0.06, GoalVerdict.MISSED)]
)
def test_integers_may_lose_what_is_within_the_accuracy_s_own_interval(
    low: float, verdict: GoalVerdict
) -> None:
    figure = SpaceFigure(NEAREST, 0.55, 0.5, 0.6, 296, 0.56, low, 0.01)
    assert accuracy_report.goals(AccuracyFigures({}, {}, integers=(figure,)))[2].verdict is verdict


def test_a_photo_finds_its_like_in_both_spaces_query_by_query() -> None:
    ours, before = np.array([1, 1, 1, 0]), np.array([0, 1, 0, 0])
    figure = accuracy.figure_of(NEAREST, ours, before)
    assert (figure.value, figure.baseline, figure.queries) == (0.75, 0.25, 4)
    assert figure.gain_low is not None
    assert figure.gain_low >= 0
