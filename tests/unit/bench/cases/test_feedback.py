"""The tables and goals of the bench of feedback for given measurements."""

from bench.cases.feedback import AGAIN, IMPORTED, KINDS, TOGETHER, Waited, result
from bench.harness.model import GoalVerdict


def found(milliseconds: float, counted: float, *, first: bool) -> list[GoalVerdict]:
    waited = {name: Waited([milliseconds], [1.0], [first]) for name in KINDS}
    waited |= {name: Waited([counted], [1.0], [False]) for name in (AGAIN, TOGETHER, IMPORTED)}
    return [goal.verdict for goal in result(waited).goals]


def test_goals_say_whether_answers_show_events_and_in_time() -> None:
    met, missed = GoalVerdict.MET, GoalVerdict.MISSED
    assert found(50, 900, first=True) == [met, met, met, met]
    assert found(150, 1100, first=False) == [missed, missed, missed, missed]
