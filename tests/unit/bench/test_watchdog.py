"""What the watchdog's bench makes of its measurements."""

from typing import Any, cast

import numpy as np

from bench import watchdog
from bench.model import Interval, Verdict
from bench.watchdog import BLOCK, BLOCKS, SHARES, Bench, Step


def measured(slower: float, *recalls: tuple[float, float]) -> Bench:
    nothing = cast(Any, None)
    bench = Bench(nothing, nothing, nothing, nothing, np.random.default_rng(1))
    bench.steps = [
        Step("graph ef 200", recall, Interval(told, told - 0.05, told + 0.05))
        for recall, told in recalls
    ]
    times = dict(zip(SHARES, (1.0, slower, 2.0), strict=True))
    bench.seconds = {share: [[times[share]] * BLOCK] * BLOCKS for share in SHARES}
    return bench


def test_goals_are_met_by_right_estimates_a_gain_and_no_cost() -> None:
    found = watchdog.result(measured(1.0, (0.9, 0.88), (0.95, 0.94)))
    assert [goal.verdict for goal in found.goals] == [Verdict.MET] * 3
    climbing, costing = found.tables
    assert [row[1:3] for row in climbing.rows] == [("0.900", "0.880"), ("0.950", "0.940")]
    assert [row[-1] for row in costing.rows] == [
        "1",
        "1.000 (1.000 to 1.000)",
        "2.000 (2.000 to 2.000)",
    ]


def test_goals_are_missed_one_by_one() -> None:
    for bench, missed in (
        (measured(1.0, (0.9, 0.8), (0.95, 0.94)), 0),
        (measured(1.0, (0.9, 0.9), (0.9, 0.9)), 1),
        (measured(1.2, (0.9, 0.9), (0.95, 0.95)), 2),
    ):
        verdicts = [goal.verdict for goal in watchdog.result(bench).goals]
        assert verdicts.index(Verdict.MISSED) == missed
        assert verdicts.count(Verdict.MISSED) == 1
