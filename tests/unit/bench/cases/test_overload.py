"""What the bench of overload says of requests that were sent."""

from bench.cases import overload
from bench.open_load.sending import WHOLE, Sent

BEST = 50
OVER = "RESOURCE_EXHAUSTED SERVICE_OVERLOADED"


def sent(*, answered: int = BEST, other: str = OVER, after: float = 0.02) -> Sent:
    """Return each phase's requests; of the flood's, `answered` a second get an answer."""
    found = Sent()
    for second in range(int(overload.AFTER[1])):
        flood = overload.FLOOD[0] <= second < overload.FLOOD[1]
        count = 4 * BEST if flood else 20
        for place in range(count):
            good = not flood or place < answered
            time = (after if second >= overload.AFTER[0] else 0.02) if good else 0.005
            found.add(second + place / count, 0.0, time, WHOLE if good else other)
    return found


def verdicts(given: Sent) -> list[str]:
    return [goal.verdict for goal in overload.result(BEST, given).goals]


def test_a_suite_that_answers_what_it_can_and_rejects_the_rest_meets_all_goals() -> None:
    found = overload.result(BEST, sent())
    assert {goal.verdict for goal in found.goals} == {"MET"}
    assert [row[0] for row in found.tables[0].rows] == list(overload.PHASES)
    assert not found.warnings


def test_each_goal_is_missed_by_what_it_forbids() -> None:
    assert verdicts(sent(answered=30)) == ["MISSED", "MET", "MET", "MET"]
    assert verdicts(sent(other="DEADLINE_EXCEEDED")) == ["MET", "MISSED", "NOT MEASURED", "MET"]
    assert verdicts(sent(after=0.05)) == ["MET", "MET", "MET", "MISSED"]


def test_the_flood_is_several_times_what_the_suite_can_answer() -> None:
    rates = overload.curve(100.0)
    assert (rates.most, rates.seconds) == (100.0 * overload.TIMES, overload.AFTER[1])
