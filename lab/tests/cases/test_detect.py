"""Judgement of detections in made photos."""

from __future__ import annotations

import pytest

from lab.cases.detect import Outcome, _miscalibration


def outcome(chance: float, right: bool) -> Outcome:
    return Outcome(1, 1, 1, chances=((chance, right, True),))


def test_probabilities_that_hold_as_often_as_they_say_have_no_error() -> None:
    found = [outcome(0.75, place < 3) for place in range(4)] * 25
    assert _miscalibration(found).value == pytest.approx(0.0)


def test_the_error_is_the_mean_difference_over_all_detections() -> None:
    sure = [outcome(0.95, place % 2 == 0) for place in range(50)]
    unsure = [outcome(0.15, False) for _ in range(50)]
    found = _miscalibration(sure + unsure)
    assert found.value == pytest.approx((0.45 + 0.15) / 2)
    assert found.low < found.value < found.high
