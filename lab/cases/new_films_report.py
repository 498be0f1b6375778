"""Figures of new films without and with something, paired by shopper and fold."""

from collections.abc import Mapping
from typing import TypeAlias

from bench.harness.model import BenchTable, Interval
from lab.cases.quality import AUC, NDCG, SystemFigures
from ranker.learning.evaluation.bootstrap import intervals

METRICS = (AUC, NDCG)
Pair: TypeAlias = tuple[SystemFigures, SystemFigures]
"""Without, and with."""
Found: TypeAlias = Mapping[str, Pair]
"""Figures by set of new films."""


def gain(pair: Pair, metric: str) -> Interval:
    """Return what a figure gains, with its 95% interval over shoppers."""
    without, with_it = (one.by_shopper[metric] for one in pair)
    made = intervals((with_it - without)[:, None])
    return Interval(float(made.mean[0]), float(made.low[0]), float(made.high[0]))


def table(title: str, found: Found, what: str) -> BenchTable:
    """Return the table of all figures. `what`: the thing that is added."""
    rows = tuple(
        (films, metric, *(_words(one.interval(metric)) for one in pair), _words(gain(pair, metric)))
        for films, pair in found.items()
        for metric in METRICS
    )
    headers = ("new films", "figure", f"without {what}", f"with {what}", "difference")
    return BenchTable(title, headers, rows, "With 95% intervals, over shoppers.")


def figures(found: Found) -> dict[str, object]:
    """Return all figures as JSON values."""
    return {
        films: {
            metric: {
                "without": _numbers(pair[0].interval(metric)),
                "with": _numbers(pair[1].interval(metric)),
                "gain": _numbers(gain(pair, metric)),
            }
            for metric in METRICS
        }
        for films, pair in found.items()
    }


def _numbers(one: Interval) -> tuple[float, float, float]:
    return (one.value, one.low, one.high)


def _words(one: Interval) -> str:
    return one.shown(4)
