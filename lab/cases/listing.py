"""Listings: pages of all products that pass a filter, sorted, on the retriever's columns.

The catalog is made: 20 categories of equal size, so that a filter on one passes 5%. A cold page
evaluates its filter, as after a write; a warm one finds the filter's answer in memory. Messages and
the read of the page's products are not included; `full` measures whole calls too, see
listing_calls.py.

Each order of the contract is measured: those of fields, POPULARITY by 1,000 popular products, and
RELEVANCE by a text of two words that half of the products have. Words are in memory up to 100,000
products, so RELEVANCE is measured on as many.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from lab.cases import listing_calls
from retriever.columns.column import AskedFacet
from retriever.columns.column_cache import EXACT_ROWS, View
from retriever.columns.table import ProductTable
from retriever.columns.word_index import WordIndex, indexed
from retriever.domain.column_rows import ProductRow
from retriever.domain.words import Words
from retriever.search.listing import RANKED, RELEVANCE, ListingPage, ListingQuery, browse
from sightline_rules import fields
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
POPULARITY = "POPULARITY"
ORDERS = (*fields.ORDERS, POPULARITY)
"""Orders on columns, for catalogs of any size."""
POPULAR = 1_000
"""Products whose popularity is known."""
TEXT, LANGUAGE = "linen shirt", "en"
OTHER_WORDS = 10_000
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
    index: WordIndex

    async def view(self, _: str) -> View:
        """Return the columns of any catalog."""
        return self.view_

    async def words(self, _: str) -> tuple[View, WordIndex]:
        """Return the columns and the words of any catalog."""
        return self.view_, self.index


@dataclass(slots=True)
class ListingFigures:
    """Milliseconds of each page, by order and case."""

    products: int
    orders: Sequence[str]
    passing: int = 0
    pages: dict[tuple[str, str], list[float]] = field(default_factory=dict)


def run(say: Say) -> BenchResult:
    """Measure a catalog of 100,000 products."""
    return result(measure(say, PRODUCTS, ORDERS), measure(say, PRODUCTS, (RELEVANCE,)))


def full(say: Say) -> BenchResult:
    """Measure a catalog of a million products, by words the largest one that has them in memory,
    and whole calls."""
    columns = measure(say, MOST_PRODUCTS, ORDERS)
    words = measure(say, EXACT_ROWS, (RELEVANCE,))
    return result(columns, words, listing_calls.measure(say))


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


def made_words(count: int) -> Iterator[tuple[str, Words]]:
    """Make the words of each product's title: of 3 to 9, two of TEXT in half of the titles."""
    draw = random.Random(SEED)
    for number in range(count):
        words = [f"word{draw.randrange(OTHER_WORDS)}" for _ in range(draw.randint(1, 7))]
        asked = TEXT.split() if number // CATEGORIES % 2 else TEXT.split()[:1]
        yield f"product-{number:07}", Words(" ".join((*words, *asked)), "", "")


def measure(say: Say, count: int, orders: Sequence[str]) -> ListingFigures:
    """Time pages of each order in alternation."""
    say(f"making {count:,} products")
    table = ProductTable(made(count), 1)
    index = indexed(table, made_words(count) if RELEVANCE in orders else ())
    say("listing them")
    found = ListingFigures(count, orders)
    columns: Any = MadeColumns(View.of(table), index)
    for turn in range(ROUNDS):
        for order in orders:
            _round(found, columns, order, turn)
    return found


def _round(found: ListingFigures, columns: Any, order: str, turn: int) -> None:
    query = _query(order, turn, found.products)

    def timed(case: str, *, cold: bool, **given: Any) -> ListingPage:
        if cold:
            columns.view_ = View.of(columns.view_.table)
        asked = replace(query, **given)
        began = time.perf_counter()
        page = asyncio.run(browse(asked, columns, columns))
        found.pages.setdefault((order, case), []).append(1e3 * (time.perf_counter() - began))
        return page

    timed(FACETED, cold=True, facets=FACETS)
    found.passing = timed(COLD, cold=True).total
    token = _token(columns, query, PAGE * (LATER - 1))
    timed(WARM, cold=False)
    timed(LAST, cold=False, token=token)


def _query(order: str, turn: int, products: int) -> ListingQuery:
    """Return the first page of a listing, as the gateway asks for it."""
    narrow = Comparison("category", Operator.EQUAL, f"Shop > {turn % CATEGORIES:02}")
    if order not in (POPULARITY, RELEVANCE):
        return ListingQuery("made", order, narrow, PAGE)
    draw = random.Random(SEED)
    ranked = (f"product-{draw.randrange(products):07}" for _ in range(POPULAR))
    query = ListingQuery("made", RANKED, narrow, PAGE, ranked=tuple(dict.fromkeys(ranked)))
    if order == POPULARITY:
        return query
    return replace(query, order=RELEVANCE, text=TEXT, language_code=LANGUAGE)


def _token(columns: Any, query: ListingQuery, behind: int) -> str:
    """Return the token of the page behind a number of products."""
    return asyncio.run(browse(replace(query, size=behind), columns, columns)).next_token


def result(
    of_columns: ListingFigures,
    of_words: ListingFigures,
    calls: listing_calls.CallFigures | None = None,
) -> BenchResult:
    """Return tables, figures and goals of the measurements."""
    both = (of_columns, of_words)
    words = f"by {RELEVANCE} of {of_words.products:,} products"
    ratios = [
        median_ratio(each.pages[order, LAST], each.pages[order, WARM])
        for each in both
        for order in each.orders
    ]
    return BenchResult(
        tables=(*map(_table, both), *([listing_calls.table(calls)] if calls else ())),
        figures={"calls": listing_calls.figures(calls) if calls else {}}
        | {
            name: {
                "products": each.products,
                "passing": each.passing,
                "milliseconds": {" / ".join(key): values for key, values in each.pages.items()},
            }
            for name, each in zip(("columns", "words"), both, strict=True)
        },
        goals=(
            _goal(f"a cold page of {MOST_PRODUCTS:,} products", of_columns, COLD),
            _goal(f"a cold page of {MOST_PRODUCTS:,} products with 2 facets", of_columns, FACETED),
            _goal(f"a cold page {words}", of_words, COLD, EXACT_ROWS),
            _goal(f"a cold page {words} with 2 facets", of_words, FACETED, EXACT_ROWS),
            Goal(
                "page 50 by page 1, both warm: medians, dearest order",
                EQUAL,
                "times",
                max(ratios, key=lambda ratio: ratio.value),
                by_figure=True,
            ),
            *listing_calls.goals(calls),
        ),
    )


def _table(found: ListingFigures) -> BenchTable:
    cases = (COLD, WARM, LAST, FACETED)
    return BenchTable(
        f"Listings of {found.products:,} products of which {found.passing:,} pass: ms a page, p95",
        ("order", *cases),
        tuple(
            (order, *(_shown(found.pages[order, case]) for case in cases)) for order in found.orders
        ),
        "95th percentiles with 95% intervals, on columns in memory, without messages.",
        section=None,
    )


def _goal(name: str, found: ListingFigures, case: str, products: int = MOST_PRODUCTS) -> Goal:
    """Return the goal of the slowest order."""
    name = f"{name}, slowest order: p95"
    if found.products < products:
        return Goal(name, GOAL, "ms", None, missing="only with --full")
    slowest = max(
        (percentile(found.pages[order, case], 0.95) for order in found.orders),
        key=lambda each: each.value,
    )
    return Goal(name, GOAL, "ms", slowest)


def _shown(values: Sequence[float]) -> str:
    each = percentile(values, 0.95)
    return each.shown(1)
