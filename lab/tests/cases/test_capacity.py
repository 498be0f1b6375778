"""Runs become tables, goals and a picture; the sweep chooses the cheapest that reaches the goal."""

from dataclasses import replace

import pytest

from bench.harness.model import GoalVerdict
from lab.capacity import plot, sizes, sweep
from lab.capacity.chosen import THRESHOLDS, with_reserve
from lab.capacity.inputs import EMBEDDER, GATEWAY, RETRIEVER, SERVICES
from lab.capacity.runs import PLANNED, SimulationRun
from lab.capacity.scenarios import LOADS
from lab.capacity.signals import TRIGGERS
from lab.capacity.sweep import MOST_LOST, MOST_P99, Tried, best, changed
from lab.capacity.validation import ModelComparison
from lab.cases import capacity

SERIES = {"minutes": [0.5, 1.5], "rate": [80.0, 90.0], "pods": [9.0, 12.0], "p99": [0.05, 0.06]}
RUN = SimulationRun(
    load="flash sale",
    policy="signals",
    seed=1,
    p50=0.018,
    p99=0.05,
    degraded=0.0002,
    shed=0.0003,
    failed=0.0001,
    pods=12.0,
    most=20,
    cost=0.6,
    by_service=dict.fromkeys(SERVICES, (2.0, 4)),
    series={**SERIES, "not_whole": [0.0, 0.01]},
)
HELD = [ModelComparison("photo", 8, (58.0, 130.0, 160.0), (53.0, 140.0, 280.0))]


def grouped(**changes: object) -> dict[tuple[str, str], list[SimulationRun]]:
    """Return two seeds of each load and policy."""
    some = replace(RUN, **changes)  # type: ignore[arg-type]
    names = ("signals", "CPU 60%", "fixed, by peak", "fixed, by mean")
    return {
        (load, name): [replace(some, load=load, policy=name), replace(some, cost=0.8)]
        for load in LOADS
        for name in names
    }


def test_tables_show_means_and_what_the_seeds_differ_by() -> None:
    table = capacity._policies_table(grouped())
    assert table.rows[0] == (
        *("load steps", "signals", "18", "50", "0.04", "0.02", "12.0", "20", "0.70 (0.60–0.80)"),
    )
    assert capacity._held_table(HELD).rows == (
        ("photo", "8", "58 / 53 (1.09)", "130 / 140 (0.93)", "160 / 280 (0.57)"),
    )


@pytest.mark.parametrize(
    ("changes", "verdict"), [({}, GoalVerdict.MET), ({"shed": 0.002}, GoalVerdict.MISSED)]
)
def test_goals_go_by_every_seed(changes: dict[str, float], verdict: GoalVerdict) -> None:
    goals = capacity._goals(HELD, grouped(**changes))
    assert goals[0].name.startswith("flash sale: not answered whole")
    assert goals[0].verdict is verdict
    assert goals[-1].verdict is GoalVerdict.MET


def test_the_cheapest_that_keeps_the_goal_is_chosen() -> None:
    def tried(calls: float, lost: float, cost: float, p99: float = 0.05) -> Tried:
        run = replace(RUN, shed=lost, degraded=0.0, failed=0.0, p99=p99)
        return Tried(changed(THRESHOLDS, gateway={"calls": calls}), run, cost)

    found = [
        *(tried(1, 0.0, 0.9), tried(2, MOST_LOST, 0.7)),
        *(tried(3, 2 * MOST_LOST, 0.5), tried(4, 0.0, 0.4, p99=2 * MOST_P99)),
    ]
    assert best(found).thresholds[GATEWAY] == {"calls": 2}
    assert best([*found, tried(5, 0.0, 0.71, p99=0.04)]).thresholds[GATEWAY] == {"calls": 5}
    assert best(found[2:3]).thresholds[GATEWAY] == {"calls": 3}, "none keeps it: the least bad"
    assert capacity._sweep_table(found).rows[2][-1] == ""


def test_thresholds_are_of_triggers_that_there_are() -> None:
    assert set(THRESHOLDS) == set(SERVICES)
    named = {(service, name) for service, some in with_reserve(THRESHOLDS).items() for name in some}
    assert named <= set(TRIGGERS)
    assert set(with_reserve(THRESHOLDS)[RETRIEVER]) == {"calls", "limit", "cpu"}
    assert set(THRESHOLDS[EMBEDDER]) == {"waiting", "busy"}
    assert set(sweep.variants()) >= {"as chosen"}


@pytest.mark.slow
def test_the_picture_is_the_same_each_time_and_names_the_policies() -> None:
    runs = [each for some in grouped().values() for each in some]
    one = plot.picture(runs)
    assert one == plot.picture(runs)
    assert all(each in one for each in ("flash sale", "CPU 60%", "p99, ms"))


def test_a_shop_is_planned_and_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "SECONDS", 12.0)
    found = sizes.sized(sizes.PlannedSize("small", 1_000_000, 50.0))
    assert 0.01 < found.p50 < found.p99 < 1
    assert found.not_whole == 0
    assert all(found.pods[name] >= 1 for name in SERVICES)
    assert found.gpus == 2
    assert PLANNED == 0.6
