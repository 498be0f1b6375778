"""Numbers of pods as Kubernetes computes them, by hand."""

import pytest

from lab.capacity import hpa
from lab.capacity.hpa import Autoscaler, AutoscalerBehaviour, Rule

FREE = Rule(100, 1000, 15)


@pytest.mark.parametrize(
    ("pods", "total", "threshold", "wanted"),
    [
        (4, 12.0, 3.0, 4),
        (4, 13.1, 3.0, 4),  # 1.09 of the goal
        (4, 13.3, 3.0, 5),  # 1.11: ceil(4.43)
        (4, 10.7, 3.0, 4),  # .89: ceil(3.57)
        (4, 8.9, 3.0, 3),
        (4, 0.0, 3.0, 0),
    ],
)
def test_a_goal_for_each_pod(pods: int, total: float, threshold: float, wanted: int) -> None:
    assert hpa.by_average(pods, total, threshold) == wanted


def test_one_goal_for_all_pods_counts_those_that_are_ready() -> None:
    assert hpa.by_value(5, 4, 0.030, 0.020) == 6  # ceil(1.5 × 4)
    assert hpa.by_value(5, 4, 0.021, 0.020) == 5
    assert hpa.by_value(5, 4, 0.0, 0.020) == 0


def test_processors_over_the_request() -> None:
    assert hpa.by_cpu(3, [0.9, 0.9, 0.9], 0, 60) == 5  # ceil(1.5 × 3)
    assert hpa.by_cpu(3, [0.62, 0.6, 0.64], 0, 60) == 3
    assert hpa.by_cpu(3, [0.1, 0.2, 0.3], 0, 60) == 1
    assert hpa.by_cpu(3, [], 3, 60) == 3


def test_pods_that_are_not_ready_count_as_idle_where_more_are_wanted() -> None:
    # 1.67 of one pod; with the other as idle .83: the direction turns, nothing changes.
    assert hpa.by_cpu(2, [1.0], 1, 60) == 2
    # 1.67 of three; with a fourth 75% ÷ 60% = 1.25: ceil(1.25 × 4).
    assert hpa.by_cpu(4, [1.0, 1.0, 1.0], 1, 60) == 5
    # Where fewer are wanted they do not count.
    assert hpa.by_cpu(4, [0.2, 0.2, 0.2], 1, 60) == 1


def test_scale_down_waits_for_its_window_and_scale_up_does_not() -> None:
    scaler = Autoscaler(AutoscalerBehaviour(1, 20, FREE, FREE, down_window=300))
    assert scaler.decide(0, 5, 8) == 8
    assert scaler.decide(15, 8, 2) == 8
    assert scaler.decide(299, 8, 2) == 8
    assert scaler.decide(301, 8, 3) == 3, "the wish for 8 is older than the window"
    assert Autoscaler(AutoscalerBehaviour(1, 20, FREE, FREE)).decide(0, 5, 2) == 5, (
        "it has just started"
    )


def test_scale_up_waits_too_where_it_has_a_window() -> None:
    scaler = Autoscaler(AutoscalerBehaviour(1, 20, FREE, FREE, up_window=60))
    assert scaler.decide(0, 4, 8) == 4
    assert scaler.decide(30, 4, 6) == 4
    assert scaler.decide(61, 4, 8) == 6, "the least of the last minute"


def test_rules_bound_what_comes_within_their_period() -> None:
    scaler = Autoscaler(
        AutoscalerBehaviour(1, 50, Rule(4, 100, 60), Rule(1, 25, 60), down_window=0)
    )
    assert scaler.decide(0, 2, 40) == 6  # 2 + 4 is more than 2 × 2
    assert scaler.decide(15, 6, 40) == 6
    assert scaler.decide(61, 6, 40) == 12
    assert scaler.decide(122, 12, 1) == 9  # 25% of 12
    assert scaler.decide(137, 9, 1) == 9
    assert scaler.decide(183, 9, 1) == 6  # int(9 × .75)
    assert scaler.decide(244, 6, 50) == 12


def test_least_and_most_hold() -> None:
    scaler = Autoscaler(AutoscalerBehaviour(2, 6, FREE, FREE, down_window=0))
    assert scaler.decide(0, 4, 40) == 6
    assert scaler.decide(15, 6, 0) == 2
