"""Listings: pages of all products that pass a filter, sorted, on the retriever's columns.

The catalog is made: 20 categories of equal size, so that a filter on one passes 5%. A cold page
evaluates its filter, as after a write; a warm one finds the filter's answer in memory. Messages and
the read of the page's products are not included.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from retriever.columns.column import AskedFacet
from retriever.columns.keeper import View
from retriever.columns.table import ProductTable
from retriever.ports.columns import ProductRow
from retriever.search.browse import BrowsePage, BrowseQuery, browse
from sightline_rules.filters import Comparison, Operator
from tests.unit.retriever.rows import row

Say: TypeAlias = Callable[[str], None]

PRODUCTS, MOST_PRODUCTS = 100_000, 1_000_000
CATEGORIES = 20
PAGE, LATER, ROUNDS, SEED = 20, 50, 60, 7
GOAL = 60.0
"""Milliseconds of a cold page, with facets or without, at most, at the 95th percentile."""
EQUAL = 1.25
"""Time of page 50 by that of page 1, at most."""
ORDERS = ("PRICE_RISING", "NEWEST", "RATING", "BRAND")
FACETS = (AskedFacet("brand", 20), AskedFacet("price", 20))
COLD, WARM, FACETED, LAST = (
    "page 1, cold",
    "page 1, warm",
    "page 1, cold, 2 facets",
    "page 50, warm",
)


@dataclass(slots=True)
class MadeColumns:
    """Columns of a made catalog. Nothing is read from a record."""

    view_: View

    async def view(self, _: str) -> View:
        """Return the columns of any catalog."""
        return self.view_

    async def words(self, _: str) -> None:
        """Return that no words are in memory."""


@dataclass(slots=True)
class ListingFigures:
    """Milliseconds of each page, by order and case."""

    products: int
    passing: int = 0
    pages: dict[tuple[str, str], list[float]] = field(default_factory=dict)


def run(say: Say) -> BenchResult:
    """Measure a catalog of 100,000 products."""
    return result(measure(say, PRODUCTS))


def full(say: Say) -> BenchResult:
    """Measure a catalog of a million products."""
    return result(measure(say, MOST_PRODUCTS))


def made(count: int) -> Iterator[ProductRow]:
    """Make products deterministically: equal counts give equal products."""
    draw = random.Random(SEED)
    for number in range(count):
        yield row(
            f"product-{number:07}",
            category=f"Shop > {number % CATEGORIES:02}",
            brand=f"Brand {draw.randrange(500)}",
            price_micros=draw.randrange(1, 20_000) * 10_000,
            currency="EUR",
            rating=draw.choice((None, *range(10, 51))),
            create_time=draw.randrange(10**12),
        )


def measure(say: Say, count: int) -> ListingFigures:
    """Time pages of each order in alternation."""
    say(f"making {count:,} products")
    table = ProductTable(made(count), 1)
    say("listing them")
    found = ListingFigures(count)
    columns: Any = MadeColumns(View.of(table))
    for turn in range(ROUNDS):
        for order in ORDERS:
            _round(found, columns, order, turn)
    return found


def _round(found: ListingFigures, columns: Any, order: str, turn: int) -> None:
    category = f"Shop > {turn % CATEGORIES:02}"
    narrow = Comparison("category", Operator.EQUAL, category)
    query = BrowseQuery("made", order, narrow, PAGE)

    def timed(case: str, *, cold: bool, **fields: Any) -> BrowsePage:
        if cold:
            columns.view_ = View.of(columns.view_.table)
        asked = BrowseQuery("made", order, narrow, PAGE, **fields)
        began = time.perf_counter()
        page = asyncio.run(browse(asked, columns, columns))
        found.pages.setdefault((order, case), []).append(1e3 * (time.perf_counter() - began))
        return page

    timed(FACETED, cold=True, facets=FACETS)
    found.passing = timed(COLD, cold=True).total
    token = _token(columns, query, PAGE * (LATER - 1))
    timed(WARM, cold=False)
    timed(LAST, cold=False, token=token)


def _token(columns: Any, query: BrowseQuery, behind: int) -> str:
    """Return the token of the page behind a number of products."""
    whole = BrowseQuery("made", query.order, query.condition, behind)
    return asyncio.run(browse(whole, columns, columns)).next_token


def result(found: ListingFigures) -> BenchResult:
    """Return table, figures and goals of the measurements."""
    cases = (COLD, WARM, LAST, FACETED)
    cold = [each for order in ORDERS for each in found.pages[order, COLD]]
    faceted = [each for order in ORDERS for each in found.pages[order, FACETED]]
    warm = [each for order in ORDERS for each in found.pages[order, WARM]]
    last = [each for order in ORDERS for each in found.pages[order, LAST]]
    ratio = percentile(last, 0.5).value / percentile(warm, 0.5).value
    where = f"{found.products:,} products of which {found.passing:,} pass"
    return BenchResult(
        tables=(
            BenchTable(
                f"Listings of {where}: ms a page, p95",
                ("order", *cases),
                tuple(
                    (order, *(_shown(found.pages[order, case]) for case in cases))
                    for order in ORDERS
                ),
                "95th percentiles with 95% intervals, on columns in memory, without messages.",
                section=None,
            ),
        ),
        figures={
            "products": found.products,
            "passing": found.passing,
            "milliseconds": {" / ".join(key): values for key, values in found.pages.items()},
        },
        goals=(
            _goal(f"a cold page of {MOST_PRODUCTS:,} products: p95", found, cold),
            _goal(f"a cold page of {MOST_PRODUCTS:,} products with 2 facets: p95", found, faceted),
            Goal(
                "page 50 by page 1, both warm: medians",
                EQUAL,
                "times",
                Interval(ratio, ratio, ratio),
                by_figure=True,
            ),
        ),
    )


def _goal(name: str, found: ListingFigures, values: Sequence[float]) -> Goal:
    if found.products < MOST_PRODUCTS:
        return Goal(name, GOAL, "ms", None, missing="only with --full")
    return Goal(name, GOAL, "ms", percentile(values, 0.95))


def _shown(values: Sequence[float]) -> str:
    each = percentile(values, 0.95)
    return each.shown(1)
