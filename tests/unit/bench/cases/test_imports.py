"""The bench of imports reports what it could not measure."""

from bench.cases import events, imports
from tests.unit.bench.cases.test_events import found


def test_without_photos_the_goal_stays_and_says_so() -> None:
    result = imports.result([], [], found(100))
    assert [goal.verdict for goal in result.goals] == [*["NOT MEASURED"] * 3, "MET", "MET"]
    assert len(result.tables) == 1
    assert any("$SIGHTLINE_DATA/clothing" in warning for warning in result.warnings)


def test_a_shorter_file_is_warned_of_and_named_in_the_goal() -> None:
    result = imports.result([], [], found(100, events.SHORTER))
    assert any("this run imported 200,000" in warning for warning in result.warnings)
    assert "200,000" in result.goals[-1].name
