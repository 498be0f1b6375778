"""A simulated cluster: validation of its model, and ways to scale it under four loads.

Its inputs are service times that other benches measured, and assumptions
(lab/capacity/inputs.py). No process is started. Method and limits: lab/research/autoscaling.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from lab.capacity import inputs, plot, runs, sizes, sweep, validation
from lab.capacity.chosen import BEHAVIOUR, RESERVE, THRESHOLDS
from lab.capacity.runs import SimulationJob, SimulationRun
from lab.capacity.scenarios import LOADS, MIX, PHOTOS

Say: TypeAlias = Callable[[str], None]
BUSY = 8
"""Minimum number of callers that saturate the machine."""


def run(say: Say) -> BenchResult:
    """Simulate all loads and policies once."""
    return _result(say, seeds=(1,))


def full(say: Say) -> BenchResult:
    """Simulate with several seeds, sweep the thresholds and vary other parameters."""
    chosen, tried = sweep.sweep(say)
    say("variations of other factors")
    jobs = sweep.variants()
    variants = dict(zip(jobs, runs.all_of(list(jobs.values())), strict=True))
    result = _result(say, seeds=sweep.SEEDS)
    return BenchResult(
        tables=(*result.tables, _sweep_table(tried), _variants_table(variants)),
        figures={
            **result.figures,
            "swept": chosen,
            "sweep": [
                {"thresholds": each.thresholds, "day_cost": each.day_cost, **_figures(each.rush)}
                for each in tried
            ],
            "variants": {name: _figures(each) for name, each in variants.items()},
        },
        goals=(
            *result.goals,
            Goal(
                "thresholds that differ from the sweep's choice",
                at_most=0,
                unit="services",
                measured=_exact(sum(chosen[each] != THRESHOLDS[each] for each in THRESHOLDS)),
            ),
        ),
        warnings=result.warnings,
        pictures=result.pictures,
    )


def _result(say: Say, seeds: Sequence[int]) -> BenchResult:
    jobs = [
        SimulationJob(load, policy, seed)
        for load in LOADS
        for policy in runs.policies(load)
        for seed in seeds
    ]
    say(f"{len(jobs)} runs of {len(LOADS)} loads")
    found = runs.all_of(jobs)
    say("the model beside what was measured, and two shops")
    held = validation.compared()
    grouped: dict[tuple[str, str], list[SimulationRun]] = {}
    for each in found:
        grouped.setdefault((each.load, each.policy), []).append(each)
    firsts = [each[0] for each in grouped.values()]
    return BenchResult(
        tables=(_held_table(held), _policies_table(grouped)),
        figures={
            "thresholds": THRESHOLDS,
            "fixed": RESERVE,
            "behaviour": {name: asdict(each) for name, each in BEHAVIOUR.items()},
            "goal": {"not_whole": sweep.MOST_LOST, "p99_seconds": sweep.MOST_P99},
            "mixes": {"usual": MIX, "a rush of photos": PHOTOS},
            "inputs": [asdict(each) for each in inputs.listed(inputs.Assumed())],
            "validation": [{**asdict(each), "off": each.off} for each in held],
            "sizes": sizes.figures(),
            "runs": [_figures(each) for each in found],
        },
        goals=_goals(held, grouped),
        warnings=(
            "simulated: no cluster was measured; starts of pods, prices and the mix of requests"
            " are assumed",
        ),
        pictures={"autoscaling.svg": plot.picture(firsts)},
    )


def _figures(found: SimulationRun) -> dict[str, object]:
    return {name: value for name, value in asdict(found).items() if name != "series"}


def _exact(value: float) -> Interval:
    return Interval(value, value, value)


def _range(values: Sequence[float]) -> Interval:
    """Return mean, lowest and highest of the seeds."""
    return Interval(sum(values) / len(values), min(values), max(values))


def _goals(
    held: Sequence[validation.ModelComparison],
    grouped: Mapping[tuple[str, str], Sequence[SimulationRun]],
) -> list[Goal]:
    goals = []
    for load in (sweep.FLASH, sweep.RUSH):
        some = grouped[load, "signals"]
        goals.append(
            Goal(
                f"{load}: not answered whole, by the thresholds",
                at_most=100 * sweep.MOST_LOST,
                unit="%",
                measured=_range([100 * (each.lost + each.degraded) for each in some]),
            )
        )
        goals.append(
            Goal(
                f"{load}: p99, by the thresholds",
                at_most=sweep.MOST_P99,
                unit="s",
                measured=_range([each.p99 for each in some]),
            )
        )
    ratio = [
        one.cost / other.cost
        for one, other in zip(
            grouped[sweep.DAY, "signals"], grouped[sweep.DAY, "fixed, by peak"], strict=True
        )
    ]
    goals.append(Goal("a day: cost ÷ that of pods for the peak", 1.0, "×", _range(ratio)))
    rates = [each.off[0] for each in held if each.callers >= BUSY]
    goals.append(
        Goal("requests/s at 8 and 32 callers, predicted ÷ measured", 1.25, "×", _range(rates), 0.8)
    )
    return goals


def _held_table(held: Sequence[validation.ModelComparison]) -> BenchTable:
    rows = []
    for each in held:
        cells = [each.kind, str(each.callers)]
        for one, other, off in zip(each.predicted, each.measured, each.off, strict=True):
            cells.append(f"{one:,.0f} / {other:,.0f} ({off:.2f})")
        rows.append(tuple(cells))
    return BenchTable(
        title="Model and machine",
        headers=("request", "callers", "requests/s", "p50 ms", "p99 ms"),
        rows=tuple(rows),
        caption="Predicted / measured (their ratio): one pod of each service on two processors,"
        " shared with the callers; measured at commit"
        f" {inputs.read(inputs.ANSWERS)['commit']}. Inputs of the model are its service times at"
        f" {inputs.CALLERS} callers.",
    )


def _policies_table(grouped: Mapping[tuple[str, str], Sequence[SimulationRun]]) -> BenchTable:
    rows = [(load, policy, *_cells(some)) for (load, policy), some in grouped.items()]
    return BenchTable(
        title="Ways to scale",
        headers=(
            *("load", "pods by", "p50 ms", "p99 ms", "no answer %", "degraded %"),
            *("pods", "max pods", "EUR/h"),
        ),
        rows=tuple(rows),
        caption="Simulated. Means of the seeds (lowest to highest). p50 and p99 of answered"
        " requests; pods and their cost are means over the load.",
    )


def _cells(some: Sequence[SimulationRun]) -> tuple[str, ...]:
    return (
        _spread([1e3 * each.p50 for each in some], ".0f"),
        _spread([1e3 * each.p99 for each in some], ".0f"),
        _spread([100 * each.lost for each in some], ".2f"),
        _spread([100 * each.degraded for each in some], ".2f"),
        _spread([each.pods for each in some], ".1f"),
        str(max(each.most for each in some)),
        _spread([each.cost for each in some], ".2f"),
    )


def _spread(values: Sequence[float], form: str) -> str:
    found = _range(values)
    middle = format(found.value, form)
    ends = format(found.low, form), format(found.high, form)
    return middle if ends == (middle, middle) else f"{middle} ({ends[0]}–{ends[1]})"


def _sweep_table(tried: Sequence[sweep.Tried]) -> BenchTable:
    rows = []
    for each in tried:
        some = each.thresholds
        rows.append(
            (
                each.rush.load,
                f"{some['gateway']['calls']:g}",
                f"{some['retriever']['calls']:g}",
                f"{some['ranker']['cpu']:g}",
                f"{some['triton']['busy']:g}",
                f"{100 * (each.rush.lost + each.rush.degraded):.2f}",
                f"{1e3 * each.rush.p99:.0f}",
                str(each.rush.most),
                f"{each.day_cost:.2f}",
                "yes" if each.keeps else "",
            )
        )
    return BenchTable(
        title="The sweep",
        headers=(
            *("load", "gateway, calls", "retriever, calls", "ranker, CPU %"),
            *("triton, busy", "no answer or degraded %", "p99 ms", "max pods"),
            *("a day, EUR/h", "reaches the goal"),
        ),
        rows=tuple(rows),
        caption="One seed. The cheapest thresholds over a day that reach the goal are chosen;"
        " within 3% of that cost, those with the lowest p99.",
    )


def _variants_table(variants: Mapping[str, SimulationRun]) -> BenchTable:
    return BenchTable(
        title="Other factors in a flash sale",
        headers=(
            *("", "p50 ms", "p99 ms", "no answer %", "degraded %"),
            *("pods", "max pods", "EUR/h"),
        ),
        rows=tuple((name, *_cells([each])) for name, each in variants.items()),
        caption="The chosen thresholds with one change each.",
        section=None,
    )
