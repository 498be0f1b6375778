"""The tables and goals of the bench of the watchdog for given measurements."""

from typing import Any, cast

import numpy as np

from bench.harness.model import GoalVerdict, Interval
from lab.cases import watchdog
from lab.cases.watchdog import BLOCK, BLOCKS, SHARES, Bench, Estimated


def measured(slower: float, recall: float, estimated: float) -> Bench:
    nothing = cast(Any, None)
    bench = Bench(nothing, nothing, nothing, nothing, np.random.default_rng(1), nothing)
    interval = Interval(estimated, estimated - 0.05, estimated + 0.05)
    bench.estimated = Estimated("graph ef 200", recall, interval)
    times = dict(zip(SHARES, (1.0, slower, 2.0), strict=True))
    bench.seconds = {share: [[times[share]] * BLOCK] * BLOCKS for share in SHARES}
    return bench


def test_goals_are_met_by_a_right_estimate_and_no_cost() -> None:
    found = watchdog.result(measured(1.0, 0.9, 0.88))
    assert [goal.verdict for goal in found.goals] == [GoalVerdict.MET] * 2
    estimating, costing = found.tables
    assert [row[1:3] for row in estimating.rows] == [("0.900", "0.880")]
    assert [row[-1] for row in costing.rows] == [
        "1",
        "1.000 (1.000 to 1.000)",
        "2.000 (2.000 to 2.000)",
    ]


def test_goals_are_missed_one_by_one() -> None:
    for missed, bench in enumerate((measured(1.0, 0.9, 0.8), measured(1.2, 0.9, 0.9))):
        verdicts = [goal.verdict for goal in watchdog.result(bench).goals]
        assert verdicts.index(GoalVerdict.MISSED) == missed
        assert verdicts.count(GoalVerdict.MISSED) == 1
