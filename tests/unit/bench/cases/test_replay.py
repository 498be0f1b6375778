"""The tables and goals of the bench of replays for given measurements."""

from bench.cases import replay
from bench.harness.model import GoalVerdict


def measured(**changes: object) -> replay.ReplayFigures:
    values = {
        "equal": {"a": [True, True], "b": [True, True]},
        "recorded": {"a": [1.02, 1.02], "b": [2.04, 2.04]},
        "without": {"a": [1.0, 1.0], "b": [2.0, 2.0]},
        "sizes": {"a": 1_200, "b": 2_000},
        "replay_ms": [3.0] * 4,
        **changes,
    }
    return replay.ReplayFigures(**values)  # type: ignore[arg-type]


def test_all_answers_have_to_be_equal_and_their_records_cheap() -> None:
    found = replay.result(measured())
    assert [goal.verdict for goal in found.goals] == [GoalVerdict.MET, GoalVerdict.MET]
    assert found.tables[0].rows[0][1:] == (
        "2 of 2",
        "1.020 (1.020–1.020)",
        "1.00",
        "1,200",
    )


def test_one_answer_that_differs_or_a_dear_record_misses_the_goal() -> None:
    one = replay.result(measured(equal={"a": [True, False], "b": [True, True]}))
    dear = replay.result(measured(recorded={"a": [1.4, 1.4], "b": [2.5, 2.5]}))
    assert [goal.verdict for goal in one.goals] == [GoalVerdict.MISSED, GoalVerdict.MET]
    assert [goal.verdict for goal in dear.goals] == [GoalVerdict.MET, GoalVerdict.MISSED]
