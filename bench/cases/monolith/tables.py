"""Results as tables, and as values for JSON."""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from bench.cases.monolith.asking import WORDS
from bench.cases.monolith.contenders import CHAIN, ONE, SUITE
from bench.cases.monolith.goals import BUSY, MeasuredShop, best
from bench.cases.monolith.load import LoadCell, over
from bench.harness.model import BenchTable, Interval
from bench.harness.statistics import median_ratio, percentile
from local_suite.programs import ALL

PROGRAMS: Mapping[str, Sequence[str]] = {
    **{name: (name,) for name in ("gateway", "retriever", "ranker", "embedder", "triton")},
    "one process": (ALL,),
    "milvus": ("milvus",),
    "workers": ("retriever-worker", "ranker-worker"),
}
"""Columns, and the processes in each; all others are `other`."""


def end_to_end(shop: MeasuredShop) -> BenchTable:
    """Return a table of all contenders' figures."""
    rows = []
    for (name, kind, callers), cell in shop.cells.items():
        if not cell.costs:
            continue
        peer = best(shop.cells, kind, callers)
        ours = name in (SUITE, ONE)
        beside = None if not ours else over(shop.cells, (name, kind, callers), peer, "costs")
        rows.append(
            (
                WORDS[kind],
                str(callers),
                name,
                str(len(cell.latencies)),
                figure(cell.cost()),
                times(beside) if beside else "",
                figure(percentile(cell.latencies, 0.5)),
                figure(percentile(cell.latencies, 0.99)),
                f"{median(cell.rates):.0f}",
            )
        )
    return BenchTable(
        title=f"{shop.name}: what an answer of ten products costs",
        headers=(
            *("request", "callers", "", "n", "processor ms", "÷ monolith", "p50 ms", "p99 ms"),
            "requests/s",
        ),
        rows=tuple(rows),
        caption="Processor time (user and system) of all processes of the suite, or of the"
        " monolith, for an answer: medians of rounds with their 95% intervals. ÷ monolith: relative"
        " to the cheaper of one and two processes. Callers send the next request as soon as they"
        " have an answer; they share the machine, and their own processor time is not counted.",
        section=1,
    )


def by_process(shop: MeasuredShop, callers: int = BUSY) -> BenchTable:
    """Return the processor milliseconds of an answer in each of the suite's processes."""
    rows = []
    for (name, kind, at), cell in shop.cells.items():
        if name not in (SUITE, ONE) or at != callers or not cell.costs:
            continue
        parts = [f"{each:.1f}" for each in split(cell).values()]
        beside = over(shop.cells, (name, kind, at), best(shop.cells, kind, at), "costs")
        peer, chain = shop.cells.get(best(shop.cells, kind, at)), shop.cells.get((CHAIN, kind, at))
        rows.append(
            (
                WORDS[kind],
                "one" if name == ONE else "apart",
                figure(cell.cost()),
                *parts,
                f"{median(chain.costs):.2f}" if chain and chain.costs else "",
                f"{median(peer.costs):.2f}" if peer and peer.costs else "",
                times(beside) if beside else "",
            )
        )
    return BenchTable(
        title=f"{shop.name}: processor milliseconds of an answer by process, {callers} callers",
        headers=(
            *("request", "services", "in all", *PROGRAMS, "other"),
            *("bare chain", "monolith", "÷ monolith"),
        ),
        rows=tuple(rows),
        caption="Medians of rounds; `bare chain` is the cost of three gRPC hops alone, `monolith`"
        " the cheaper of one and two processes.",
        section=None,
    )


def split(cell: LoadCell) -> dict[str, float]:
    """Return median milliseconds of each column of PROGRAMS, and of all other programs."""
    listed = {name: column for column, names in PROGRAMS.items() for name in names}
    rounds: dict[str, list[float]] = {
        column: [0.0] * len(cell.costs) for column in (*PROGRAMS, "other")
    }
    for name, values in cell.programs.items():
        column = rounds[listed.get(name, "other")]
        for place, value in enumerate(values):
            column[place] += value
    return {column: median(values) for column, values in rounds.items()}


def figures(shop: MeasuredShop) -> list[dict[str, object]]:
    """Return all figures, for programs."""
    return [
        {
            "catalog": shop.name,
            "contender": cell.contender,
            "kind": cell.kind,
            "callers": cell.callers,
            "cpu_ms": rounded(cell.costs),
            "requests_per_second": rounded(cell.rates),
            "p50_ms": rounded(cell.medians),
            "percentiles_ms": _percentiles(cell.latencies),
            "cpu_ms_by_process": {name: rounded(values) for name, values in cell.programs.items()},
            "wrong": dict(cell.wrong),
        }
        for cell in shop.cells.values()
    ]


def warnings(shops: Sequence[MeasuredShop]) -> list[str]:
    """Return warnings about incomplete answers."""
    return [
        f"{shop.name}, {WORDS[cell.kind]} by {cell.callers}, {cell.contender}: {dict(cell.wrong)}"
        f" of {len(cell.latencies)} answers"
        for shop in shops
        for cell in shop.cells.values()
        if cell.wrong
    ]


def shapes(plain: MeasuredShop, others: Sequence[MeasuredShop]) -> BenchTable:
    """Return the table that compares catalogs of equal size: with variants, with one picture, and
    without.
    """
    rows = []
    for (name, kind, callers), cell in plain.cells.items():
        if name != SUITE:
            continue
        for shop in (plain, *others):
            found = shop.cells.get((name, kind, callers))
            if found is None or not found.costs:
                continue
            count = min(len(found.costs), len(cell.costs))
            rows.append(
                (
                    WORDS[kind],
                    str(callers),
                    shop.name,
                    figure(found.cost()),
                    times(median_ratio(found.costs[:count], cell.costs[:count])),
                    figure(percentile(found.latencies, 0.5)),
                    times(median_ratio(found.medians[:count], cell.medians[:count])),
                )
            )
    return BenchTable(
        title="Catalogs with variants, with one picture, and without",
        headers=("request", "callers", "", "processor ms", "÷ without", "p50 ms", "÷ without"),
        rows=tuple(rows),
        caption="Measured in alternation in one suite; the same vectors in each.",
        section=1,
    )


def figure(found: Interval) -> str:
    """Format a figure with its interval."""
    digits = 2 if found.value < 10 else 1 if found.value < 100 else 0
    return f"{found.value:.{digits}f} ({found.low:.{digits}f}–{found.high:.{digits}f})"


def times(found: Interval) -> str:
    """Format a ratio with its interval."""
    digits = 2 if found.value < 10 else 1
    return f"{found.value:.{digits}f} ({found.low:.{digits}f}–{found.high:.{digits}f})"


def _percentiles(latencies: Sequence[float]) -> list[float]:
    """Return the percentiles 0 to 100. A line for each request would be too many."""
    if not latencies:
        return []
    return rounded(np.percentile(latencies, np.arange(101)).tolist())


def rounded(values: Sequence[float]) -> list[float]:
    """Round for a file."""
    return [round(value, 3) for value in values]
