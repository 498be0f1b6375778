"""Report of the bench of a sequence model, on made figures."""

import numpy as np
import pytest

from bench.harness.model import GoalVerdict
from lab.cases.sequence import (
    BESIDE,
    EASE,
    INSTEAD,
    MIDDLE,
    OURS,
    SASREC,
    TAILS,
    WEIGHTS,
    SequenceFigures,
    best_weights,
    goals,
    run,
    standardized,
    tables,
)
from ranker.learning.evaluation.histories import Histories
from ranker.learning.evaluation.splits import Task


def _figures(sequence: float) -> SequenceFigures:
    levels = {OURS: 0.3, EASE: 0.2, SASREC: sequence, BESIDE: 0.3, INSTEAD: 0.1}
    found = SequenceFigures()
    found.gains[TAILS] = {name: np.full(40, level) for name, level in levels.items()}
    found.shuffled[TAILS] = {SASREC: np.full(40, 0.1)}
    found.events[TAILS] = 1_000
    return found


def test_the_model_is_taken_only_if_it_is_above_the_recipe_and_ease() -> None:
    assert [each.verdict for each in goals(_figures(0.25))[:4]] == [
        GoalVerdict.MISSED,
        GoalVerdict.MET,
        GoalVerdict.MISSED,
        GoalVerdict.MISSED,
    ]
    assert goals(_figures(0.35))[0].verdict is GoalVerdict.MET


def test_tasks_without_figures_are_not_measured() -> None:
    verdicts = {each.name: each.verdict for each in goals(_figures(0.25))}

    assert verdicts[f"nDCG@10, {MIDDLE}: {SASREC} above {OURS}"] is GoalVerdict.NOT_MEASURED


def test_without_the_data_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_DATA", raising=False)

    found = run(lambda _: None)

    assert {each.verdict for each in found.goals} == {GoalVerdict.NOT_MEASURED}
    assert found.tables == ()
    assert "NOT MEASURED" in found.warnings[0]


def test_tables_show_differences_with_their_intervals() -> None:
    systems, _, order, *_ = tables(_figures(0.25))

    shown = {row[1]: row[2:] for row in systems.rows}
    assert shown[SASREC][1].startswith("-0.050")
    assert shown[SASREC][2].startswith("+0.050")
    assert order.rows[0][-1].startswith("+0.150")


def test_standardized_scores_keep_the_order_of_each_shopper() -> None:
    made = standardized(np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]]))

    assert made[0].argsort().tolist() == [0, 2, 1]
    assert made[0].std() == pytest.approx(1.0)
    assert made[1].tolist() == [0.0, 0.0, 0.0]


def _history(item: int) -> Histories:
    return Histories(
        ("user",), np.array([0, 1]), np.array([item]), np.zeros(1, np.bool_), np.zeros(1, np.int64)
    )


def test_the_weight_is_the_least_that_finds_most() -> None:
    task = Task(_history(0), _history(2), np.ones(20, dtype=bool))
    theirs = np.eye(20)[2:3]
    wrong = 2 * np.eye(20)[5:6]

    found = best_weights({"good": theirs, "poor": wrong}, theirs, task)

    assert found == {"good": WEIGHTS[0], "poor": 0.8}
