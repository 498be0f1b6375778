"""A goal is met only if its whole interval is within the limit, or the figure where it decides."""

import pytest

from bench.harness.model import Goal, Interval


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (Interval(9, 8, 10), "MET"),
        (Interval(9, 8, 10.1), "MISSED"),
        (Interval(12, 11, 13), "MISSED"),
        (None, "NOT MEASURED"),
    ],
)
def test_verdicts(measured: Interval | None, verdict: str) -> None:
    assert Goal("p99", 10, "ms", measured).verdict == verdict


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (Interval(11, 10, 12), "MET"),
        (Interval(11, 9.9, 12), "MISSED"),
        (None, "NOT MEASURED"),
    ],
)
def test_a_lower_limit_is_kept_by_the_whole_interval(
    measured: Interval | None, verdict: str
) -> None:
    assert Goal("events", None, "events/s", measured, at_least=10).verdict == verdict


@pytest.mark.parametrize(("figure", "verdict"), [(10.0, "MET"), (9.9, "MISSED")])
def test_where_the_figure_decides_its_interval_is_only_shown(figure: float, verdict: str) -> None:
    measured = Interval(figure, 5, 15)
    goal = Goal("nDCG@10", None, "", measured, at_least=10, by_figure=True)
    assert goal.verdict == verdict


def test_an_interval_as_text() -> None:
    found = Interval(0.61234, -0.5, 0.7)
    assert found.shown() == "0.612 (-0.500 to 0.700)"
    assert found.shown(1, sign=True) == "+0.6 (-0.5 to +0.7)"
