"""Judgement of detections in made photos."""

from __future__ import annotations

import numpy as np
import pytest

from lab.cases.detect import Outcome, _counted, _miscalibration


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


def test_a_product_counts_once_a_place_and_an_improbable_one_not() -> None:
    boxes = np.array([(0, 0, 10, 10), (1, 1, 9, 9), (20, 0, 30, 10), (40, 0, 50, 10)], float)
    found = _counted(boxes, ["a", "a", "a", "b"], [0.9, 0.8, 0.7, 0.4], [0.9] * 4)
    assert found == {"a": 2}
