"""Cost of a filter per product, for `contains`, the most expensive condition.

Products have the maximum of 128 texts of 512 bytes under one key, and all texts differ, so that no
cached result can be reused.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from retriever.columns.arrays import Ints
from retriever.columns.conditions import Conditions
from retriever.columns.products import each_passes
from retriever.columns.table import ProductTable as Columns
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from sightline_rules.evaluation.conditions import judged
from sightline_rules.evaluation.work import finish
from sightline_rules.facts import Facts
from sightline_rules.filter_checks import check
from sightline_rules.filters import Any, Comparison, Filter, FilterInvalidError, Operator
from sightline_rules.kinds import MAX_ATTRIBUTES
from tests.unit.retriever.rows import row_of

Say: TypeAlias = Callable[[str], None]

FORMER = 51.0
"""Milliseconds per product of 249 conditions in release 0.5.6."""
MOST = FORMER / 10
"""Maximum milliseconds per product of the most expensive accepted filter. Most of it is comparing
bytes.
"""
LATE = 10.0
"""Maximum milliseconds by which an evaluation may exceed its deadline."""
DEADLINE = 0.02
"""Deadline in seconds; evaluating all products takes longer."""
PRODUCTS, TEXT_BYTES, ROUNDS = 100, 512, 15
SEED = 7
DEAREST = "32 × contains of an attribute"
FILTERS: Mapping[str, tuple[str, int]] = {
    "249 × contains of an attribute": ("attributes.k", 249),
    DEAREST: ("attributes.k", 32),
    "249 × contains of the title": ("title", 249),
}
"""Field and number of conditions."""
COLUMNS, KEPT, ROWS = "columns", "columns again", "row by row"


@dataclass(slots=True)
class FilterFigures:
    """Figures in milliseconds."""

    taken: dict[str, bool] = field(default_factory=dict)
    """True if a filter is accepted."""
    each: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """Milliseconds per product, by filter and way of evaluation."""
    late: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds from the deadline to the end, by way of evaluation."""


def run(say: Say) -> BenchResult:
    """Make products and evaluate each filter on them in alternation."""
    say(f"{PRODUCTS} products of {MAX_ATTRIBUTES} texts of {TEXT_BYTES} bytes")
    return result(measure(products(PRODUCTS), ROUNDS))


def products(count: int) -> list[Facts]:
    """Make products deterministically: equal counts give equal products."""
    draw = random.Random(SEED)

    def text() -> str:
        return "".join(draw.choices("abcdefghij ", k=TEXT_BYTES))

    return [
        Facts(title=text(), attributes={"k": tuple(text() for _ in range(MAX_ATTRIBUTES))})
        for _ in range(count)
    ]


def spoken(name: str, count: int) -> Filter:
    """Return a filter of `count` conditions that no product meets: all are evaluated."""
    parts = [Comparison(name, Operator.CONTAINS, f"Wörter {n}") for n in range(count)]
    return Any(tuple(Any(tuple(parts[at : at + 60])) for at in range(0, count, 60)))


def measure(shop: Sequence[Facts], rounds: int) -> FilterFigures:
    """Time each filter by the columns and row by row, in alternation."""
    table = Columns(row_of(f"p{n}", facts) for n, facts in enumerate(shop))
    places, found = np.arange(len(shop)), FilterFigures()
    for name, asked in FILTERS.items():
        condition = spoken(*asked)
        found.taken[name] = _is_taken(condition)
        for _ in range(rounds):
            by_columns = partial(_by_columns, Conditions(table), condition, places)
            by_row = partial(_row_by_row, condition, shop)
            for way, work in ((COLUMNS, by_columns), (KEPT, by_columns), (ROWS, by_row)):
                spent = _milliseconds(work) / len(shop)
                found.each.setdefault((name, way), []).append(spent)
    dearest = spoken(*FILTERS[DEAREST])
    for _ in range(rounds):
        for way, begun in (
            (COLUMNS, lambda: Conditions(table).passing(dearest, places)),
            (ROWS, lambda: each_passes(dearest, shop, len(shop))),
        ):
            found.late.setdefault(way, []).append(asyncio.run(_late(begun)))
    return found


def _by_columns(by: Conditions, condition: Filter, places: Ints) -> object:
    return finish(by.asked([condition], places).passing())


def _row_by_row(condition: Filter, shop: Sequence[Facts]) -> object:
    return finish(judged(condition, shop))


def _is_taken(condition: Filter) -> bool:
    try:
        check(condition)
    except FilterInvalidError:
        return False
    return True


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


async def _late(begun: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds that an evaluation ran past its deadline.

    Raise OSError when it ended before.
    """
    began = time.perf_counter()
    try:
        with deadlines.within(DEADLINE):
            await begun()
    except DeadlineExceeded:
        return 1e3 * (time.perf_counter() - began - DEADLINE)
    raise OSError("the products are too few: all of them took less than the deadline")


def result(found: FilterFigures) -> BenchResult:
    """Return tables, figures and goals of the measurements."""
    each = {key: percentile(values, 0.5) for key, values in found.each.items()}
    late = {way: percentile(values, 0.5) for way, values in found.late.items()}
    rows = tuple(
        (
            name,
            "yes" if taken else "FILTER_INVALID",
            *(_shown(each[name, way]) for way in (COLUMNS, KEPT, ROWS)),
        )
        for name, taken in found.taken.items()
    )
    return BenchResult(
        tables=(
            BenchTable(
                "Filters, ms a product",
                ("filter", "is taken", COLUMNS, KEPT, ROWS),
                rows,
                f"Medians of alternating rounds with their 95% intervals. 0.5.6 took {FORMER:g} ms"
                " for the first one, row by row.",
                section=None,
            ),
        ),
        figures={
            "milliseconds": {" / ".join(key): values for key, values in found.each.items()},
            "late_milliseconds": found.late,
        },
        goals=(
            Goal(
                f"{DEAREST}, the dearest filter that is taken: ms a product by the columns (0.5.6:"
                f" {FORMER:g} ms, with 249)",
                MOST,
                "ms",
                each[DEAREST, COLUMNS],
            ),
            *(
                Goal(f"{way}: what an evaluation goes on after its deadline", LATE, "ms", each_late)
                for way, each_late in late.items()
            ),
        ),
    )


def _shown(found: Interval) -> str:
    return found.shown()
