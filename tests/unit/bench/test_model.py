"""A goal is met only when its whole interval is."""

import pytest

from bench.model import Goal, Interval


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
