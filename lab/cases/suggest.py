"""Suggestions of a made catalog, beside SQLite's full-text search by trigrams (FTS5).

Titles have six words of 30,000, drawn by Zipf's law, a brand of 2,000 and a category of 400. Texts
are the beginnings of title words, as they are typed. The retriever answers completions, facet
values and products; SQLite answers titles that contain the text, and knows no typing errors.
Messages are not included.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeAlias

from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import percentile
from retriever.columns.column_cache import View
from retriever.columns.suggestion_index import SuggestionIndexes
from retriever.columns.table import ProductTable
from retriever.domain.column_rows import ProductRow
from retriever.search.suggest import SuggestionQuery, suggest
from tests.unit.retriever.rows import row

Say: TypeAlias = Callable[[str], None]

PRODUCTS, MOST_PRODUCTS = 100_000, 1_000_000
WORDS, BRANDS, CATEGORIES, TITLE_WORDS = 30_000, 2_000, 400, 6
ROUNDS, PAGE, SEED = 200, 10, 7
GOAL_MS = 10.0
ONE, THREE, SIX, TWO, MISTYPED = (
    "1 letter",
    "3 letters",
    "6 letters",
    "a word and 3 letters",
    "6 letters, one wrong",
)
SYLLABLES = (
    *("ba", "co", "re", "mi", "tron", "ler", "sin", "qua", "vel", "do", "ri", "ka", "po", "ne"),
    *("st", "ing", "er", "al", "gra", "chi", "lu", "fen", "mar", "to"),
)


@dataclass(slots=True)
class MadeColumns:
    """Columns of a made catalog. Nothing is read from a record."""

    table: ProductTable

    async def view(self, _: str) -> View:
        """Return the columns of any catalog."""
        return View.of(self.table)


@dataclass(slots=True)
class SuggestFigures:
    """Milliseconds by case, of the retriever (time, and processor time) and of SQLite."""

    products: int
    build_seconds: float = 0.0
    bytes_a_product: float = 0.0
    ours: dict[str, list[float]] = field(default_factory=dict)
    work: dict[str, list[float]] = field(default_factory=dict)
    peer: dict[str, list[float]] = field(default_factory=dict)


def run(say: Say) -> BenchResult:
    """Measure a catalog of 100,000 products."""
    return result(asyncio.run(measure(say, PRODUCTS)))


def full(say: Say) -> BenchResult:
    """Measure a catalog of a million products."""
    return result(asyncio.run(measure(say, MOST_PRODUCTS)))


def made(count: int) -> Iterator[ProductRow]:
    """Make products deterministically: equal counts give equal products."""
    draw = random.Random(SEED)
    known = dict[str, None]()
    while len(known) < WORDS:
        known["".join(draw.choices(SYLLABLES, k=draw.randint(2, 4)))] = None
    words = list(known)
    weights = list(accumulate(1 / (place + 10) for place in range(WORDS)))
    for number in range(count):
        title = draw.choices(words, cum_weights=weights, k=TITLE_WORDS)
        yield row(
            f"product-{number:07}",
            title=" ".join(title).title(),
            brand=f"{words[draw.randrange(BRANDS)]} {words[draw.randrange(BRANDS)]}",
            category=f"Shop > {words[draw.randrange(CATEGORIES)]}",
        )


async def measure(say: Say, count: int) -> SuggestFigures:
    """Time texts of each case in alternation, of both."""
    say(f"making {count:,} products")
    table, found = ProductTable(made(count), 1), SuggestFigures(count)
    peer = _peer(table.titles[:count])
    columns: Any = MadeColumns(table)
    indexes = SuggestionIndexes(columns, patience=None)
    say("building the index")
    began = time.perf_counter()
    held = await indexes.of("made")
    found.build_seconds = time.perf_counter() - began
    if held is None:
        raise RuntimeError("the index was not built")
    found.bytes_a_product = held[1].nbytes / count
    say("suggesting")
    draw = random.Random(SEED)
    for _ in range(ROUNDS):
        for case, text in _texts(table.titles[draw.randrange(count)], draw):
            began, worked = time.perf_counter(), time.process_time()
            await suggest(SuggestionQuery("made", text, PAGE, "en"), indexes)
            found.ours.setdefault(case, []).append(1e3 * (time.perf_counter() - began))
            found.work.setdefault(case, []).append(1e3 * (time.process_time() - worked))
            if case not in (ONE, MISTYPED):
                began = time.perf_counter()
                _search(peer, text)
                found.peer.setdefault(case, []).append(1e3 * (time.perf_counter() - began))
    return found


def _texts(title: str, draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yield what is typed for a title, by case."""
    words = title.lower().split()
    word = max(words, key=len)
    yield ONE, word[:1]
    yield THREE, word[:3]
    yield SIX, word[:6]
    yield TWO, f"{words[0]} {words[1][:3]}"
    place = draw.randrange(1, min(len(word), 6))
    yield MISTYPED, f"{word[:place]}z{word[place + 1 : 6]}"


def _peer(titles: Sequence[str]) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE titles USING fts5(title, tokenize = 'trigram')")
    database.executemany("INSERT INTO titles VALUES (?)", ((each,) for each in titles))
    database.execute("INSERT INTO titles(titles) VALUES ('optimize')")
    return database


def _search(database: sqlite3.Connection, text: str) -> list[tuple[int, str]]:
    asked = " AND ".join(f'"{word}"' for word in text.split())
    statement = "SELECT rowid, title FROM titles WHERE titles MATCH ? ORDER BY rank LIMIT ?"
    return database.execute(statement, (asked, PAGE)).fetchall()


def result(found: SuggestFigures) -> BenchResult:
    """Return table, figures and goals of the measurements."""
    every = [each for values in found.ours.values() for each in values]
    return BenchResult(
        tables=(
            BenchTable(
                f"Suggestions of {found.products:,} products: ms, p95",
                ("typed", "Sightline", "its processor time", "SQLite FTS5, trigrams"),
                tuple(
                    (
                        case,
                        _shown(values),
                        _shown(found.work[case]),
                        _shown(found.peer.get(case, ())),
                    )
                    for case, values in found.ours.items()
                ),
                "95th percentiles with 95% intervals, without messages. Sightline: completions,"
                f" facet values and products; the index takes {found.bytes_a_product:.0f} bytes a"
                f" product, and is built in {found.build_seconds:.1f} s.",
                section=None,
            ),
        ),
        figures={
            "products": found.products,
            "build_seconds": found.build_seconds,
            "bytes_a_product": found.bytes_a_product,
            "milliseconds": found.ours,
            "processor_milliseconds": found.work,
            "peer_milliseconds": found.peer,
        },
        goals=(
            Goal(
                f"suggestions of {found.products:,} products: p95 over all texts",
                GOAL_MS,
                "ms",
                percentile(every, 0.95),
            ),
        ),
    )


def _shown(values: Sequence[float]) -> str:
    if not values:
        return "–"
    each = percentile(values, 0.95)
    return each.shown(2)
