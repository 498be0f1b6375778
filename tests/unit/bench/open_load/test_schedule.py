"""Requests go out as a Poisson process along the curve."""

import numpy as np
import pytest

from bench.open_load.schedule import Curve, curve


def test_a_rate_and_points_are_read() -> None:
    assert curve("50", 60).points == [(0, 50), (60, 50)]
    assert curve("0:50,60:400,90:400", None) == Curve([(0, 50), (60, 400), (90, 400)])


@pytest.mark.parametrize(
    ("text", "seconds", "why"),
    [
        ("50", None, "needs --seconds"),
        ("0:50,60:400", 60, "omit --seconds"),
        ("5:50,60:400", None, "ascending seconds from 0"),
        ("0:50,0:400", None, "ascending seconds"),
        ("0:50,60:-1", None, "no negative rate"),
        ("0:nan,60:1", None, "no negative rate"),
        ("0:0,60:0", None, "above 0 at some time"),
        ("quick", 60, "could not convert"),
        ("-3", 60, "no negative rate"),
        ("5", -1, "ascending seconds"),
    ],
)
def test_what_is_no_rate_is_refused(text: str, seconds: float | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        curve(text, seconds)


def test_times_follow_the_curve_by_chance_and_the_same_seed_is_the_same() -> None:
    given = Curve([(0, 100), (100, 100), (200, 900)])
    times = given.times(seed=4)
    assert np.array_equal(times, given.times(seed=4))
    assert np.all(np.diff(times) >= 0)
    first, second = (times < 100).sum(), (times >= 100).sum()
    assert first == pytest.approx(10_000, rel=0.05)
    assert second == pytest.approx(50_000, rel=0.03)
    gaps = np.diff(times[times < 100])
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05), "exponential: as wide as its mean"


def test_shares_of_processes_add_up() -> None:
    given = Curve([(0, 90), (50, 30)])
    parts = [given.shared(3).times(seed) for seed in range(3)]
    assert sum(map(len, parts)) == pytest.approx(60 * 50, rel=0.06)
