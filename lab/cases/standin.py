"""Cost of a search that the record answers while the engine is lost."""

import asyncio
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.engines import generation, image_id
from bench.harness.model import BenchResult, BenchTable, Interval
from bench.harness.statistics import percentile, ratio
from retriever.adapters.milvus.index import MilvusIndex
from retriever.columns.column_cache import Columns
from retriever.domain.product import Image, ProductContent, ProductWrite
from retriever.domain.vectors import GivenVector, VectorWrite
from retriever.record import Record
from retriever.search.fallback.chain import FallbackChain
from retriever.search.query import SearchQuery
from retriever.search.search import Searcher, search
from servicekit.sql.database import Database
from sightline_rules.filters import All, Comparison, Filter, Operator

Say: TypeAlias = Callable[[str], None]
Floats: TypeAlias = npt.NDArray[np.float32]

SIZES = ((1_000, 1_280), (10_000, 1_280), (10_000, 80), (50_000, 80))
"""Rows and dimensions."""
NOBODY = "http://127.0.0.1:9"
"""Address at which no engine listens."""
ROUNDS = 5
"""Number of reads of all rows."""
TOP = 100
QUERIES = 30
BATCH = 1_000
SEED = 21
CONDITIONS: Mapping[str, Filter] = {
    "plain": All(),
    "5% by brand": Comparison("brand", Operator.EQUAL, "b3"),
    "5% by tag": Comparison("tags", Operator.CONTAINS, "t3"),
}
"""Filters: none; one that an index of the record answers; one that no index answers."""


@dataclass(slots=True)
class FallbackCase:
    """One size of a catalog."""

    rows: int
    dimension: int
    reading: list[float] = field(default_factory=list)
    """Seconds of first searches, which read every row."""
    held_bytes: int = 0
    """Memory that such a search keeps."""
    peak_bytes: int = 0
    """Peak memory of such a search."""
    searches: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of later searches, by filter."""
    bare: list[float] = field(default_factory=list)
    """Seconds of NumPy alone for plain searches."""


def run(say: Say) -> BenchResult:
    """Fill records one after the other, without an engine, and search them."""
    done = []
    for rows, dimension in SIZES:
        say(f"{rows:,} rows of {dimension:,} dimensions are stored")
        with tempfile.TemporaryDirectory() as folder:
            done.append(asyncio.run(measure(folder, rows, dimension)))
    return result(done)


@dataclass(frozen=True, slots=True)
class FallbackShop:
    """A record whose engine is lost."""

    record: Record
    index: MilvusIndex
    queries: Floats

    def fallback(self, rows: int) -> tuple[FallbackChain, Columns]:
        """Return a fallback without cached rows."""
        columns = Columns(self.record, exact_rows=0, exact_bytes=2**40, patience=None)
        return FallbackChain(self.record, self.index, rows, columns), columns


async def measure(folder: str, rows: int, dimension: int) -> FallbackCase:
    """Fill a record in a folder and search it."""
    db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
    db.migrate()
    rng = np.random.default_rng(SEED)
    vectors = rng.standard_normal((rows, dimension)).astype(np.float32)
    queries = rng.standard_normal((QUERIES, dimension)).astype(np.float32)
    shop, case = (
        FallbackShop(Record(db), MilvusIndex(NOBODY), queries),
        FallbackCase(rows, dimension),
    )
    try:
        await _fill(shop.record, vectors)
        for _ in range(ROUNDS):
            fallback = shop.fallback(rows)
            case.reading.append(await _ask(shop, fallback, queries[0], All()))
        await _weigh(case, shop)
        for query in queries:
            for name, condition in CONDITIONS.items():
                taken = await _ask(shop, fallback, query, condition)
                case.searches.setdefault(name, []).append(taken)
            case.bare.append(_bare(vectors, query))
    finally:
        await shop.index.close()
        db.close()
    return case


async def _fill(record: Record, vectors: Floats) -> None:
    made = await record.create_generation(generation("standin", vectors.shape[1]))
    for start in range(0, len(vectors), BATCH):
        numbers = range(start, min(start + BATCH, len(vectors)))
        await record.write("default", [_product(number) for number in numbers])
        await record.save_vectors(made, [VectorWrite(image_id(n), vectors[n]) for n in numbers])


def _product(number: int) -> ProductWrite:
    photo = image_id(number)
    content = ProductContent(
        product_id=f"p{number}",
        title=f"Product {number}",
        brand=f"b{number % 20}",
        tags=(f"t{number // 20 % 20}",),
        image_ids=(photo,),
    )
    return ProductWrite(content, {photo: Image(photo, "image/jpeg", 10, 4, 3)})


async def _weigh(case: FallbackCase, shop: FallbackShop) -> None:
    """Measure the memory of a first search separately, because tracing slows it down."""
    tracemalloc.start()
    fallback = shop.fallback(case.rows)
    before, _ = tracemalloc.get_traced_memory()
    await _ask(shop, fallback, shop.queries[0], All())
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    case.held_bytes, case.peak_bytes = held - before, peak - before


async def _ask(
    shop: FallbackShop, by: tuple[FallbackChain, Columns], vector: Floats, condition: Filter
) -> float:
    """Return the seconds of one search."""
    asked = GivenVector("visual", "bench", len(vector), vector.astype("<f4").tobytes())
    query = SearchQuery("default", vector=asked, condition=condition, top_k=TOP)
    begun = time.perf_counter()
    fallback, columns = by
    deps = Searcher(shop.record, shop.index, columns, fallback=fallback)
    answer = await search(query, deps, lambda: None)
    taken = time.perf_counter() - begun
    if not answer.substitute:
        raise OSError(f"something answers at {NOBODY}")
    return taken


def _bare(vectors: Floats, query: Floats) -> float:
    """Return the seconds of NumPy alone: cosines of all rows and the best of them."""
    begun = time.perf_counter()
    scores = (vectors @ query) / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
    places = np.argpartition(-scores, TOP)[:TOP]
    places[np.argsort(-scores[places])]
    return time.perf_counter() - begun


def result(done: Sequence[FallbackCase]) -> BenchResult:
    """Return the table and figures of the measurements."""
    headers = ("rows", "dimensions", "first, s", "MB held", "MB at most")
    return BenchResult(
        tables=(
            BenchTable(
                title=f"Searches that the record answers, top {TOP}",
                headers=(*headers, *CONDITIONS, "NumPy"),
                rows=tuple(map(_row, done)),
                caption=(
                    f"First: median of {ROUNDS}, reads all rows. Others: p50 in ms of "
                    f"{QUERIES} queries, hydration included. NumPy: plain, ids of rows alone."
                ),
                section=None,
            ),
        ),
        figures={"cases": [_figures(case) for case in done]},
    )


def _row(case: FallbackCase) -> tuple[str, ...]:
    return (
        f"{case.rows:,}",
        f"{case.dimension:,}",
        f"{statistics.median(case.reading):.2f}",
        f"{case.held_bytes / 1e6:.0f}",
        f"{case.peak_bytes / 1e6:.0f}",
        *(_milliseconds(percentile(case.searches[name], 0.5)) for name in CONDITIONS),
        _milliseconds(percentile(case.bare, 0.5)),
    )


def _milliseconds(found: Interval) -> str:
    return f"{1e3 * found.value:.1f} ({1e3 * found.low:.1f} to {1e3 * found.high:.1f})"


def _figures(case: FallbackCase) -> dict[str, object]:
    plain = list(zip(case.searches["plain"], case.bare, strict=True))
    return {
        "rows": case.rows,
        "dimension": case.dimension,
        "first_seconds": case.reading,
        "held_bytes": case.held_bytes,
        "peak_bytes": case.peak_bytes,
        "p50_seconds": {
            name: percentile(taken, 0.5).value for name, taken in case.searches.items()
        },
        "plain_to_numpy": ratio(plain).value,
    }
