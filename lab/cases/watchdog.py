"""The watchdog: accuracy of its estimate, and cost of its checks.

The planner is forced to use too small an `ef`, as may happen on other data than it was measured on.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.harness.engines import generation, image_id
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile, ratio
from lab.harness.rig import acquired
from retriever.adapters.milvus.index import MilvusIndex
from retriever.columns.column_cache import Columns
from retriever.domain.generation import Generation, IndexKind, IndexParameters
from retriever.domain.product import Image, ProductContent, ProductWrite
from retriever.domain.vectors import Floats, GivenVector, VectorWrite, exact_scores
from retriever.indexing.outbox import apply_outbox
from retriever.record import Record
from retriever.search import planning
from retriever.search.query import SearchQuery
from retriever.search.recall.watchdog import LEAST_LOOKS, Watchdog
from retriever.search.sampling import Samples
from retriever.search.search import FoundNearest, Searcher, search
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease
from sightline_rules.filters import Comparison, Money, Operator
from tests.engines import milvus_lite

SEED = 20
COUNT, DIMENSION, TOP = 10_000, 256, 100
CLUSTERS, SPREAD = 200, 0.7
BATCH = 1_000
PASSING = 0.3
"""Fraction of the products that pass, by a price that is independent of the clusters: those with
the lowest numbers, which are independent too.
"""
CHEAP = Comparison("price", Operator.LESS, Money("EUR", int(PASSING * COUNT) * 10**6))
LOW_FACTOR = 0.3
"""Replaces planning.EF_FACTOR: gives about `ef` 200, where 4 gives 2,600."""
BLOCKS, BLOCK = 60, 5
"""Numbers of blocks and of searches per block whose latencies are compared; kinds alternate."""
SHARES = (0.0, 0.01, 1.0)
MOST_SLOWER = 1.05
MOST_WRONG = 0.03


@dataclass(slots=True)
class Estimated:
    """The watchdog's estimates of some searches."""

    plan: str
    recall: float
    """Recall of the same searches by comparison with every row."""
    estimate: Interval


@dataclass(slots=True)
class Bench:
    """The searched catalog, and the results."""

    vectors: Floats
    record: Record
    index: MilvusIndex
    generation: Generation
    random: np.random.Generator
    columns: Columns
    """Columns without vectors, so that the engine answers."""
    samples: Samples = field(default_factory=Samples)
    estimated: Estimated | None = None
    """Estimates of searches whose `ef` is too low."""
    seconds: dict[float, list[list[float]]] = field(default_factory=dict)
    """Seconds by sampled fraction, block and search."""

    async def search(self, dog: Watchdog) -> tuple[FoundNearest, Floats]:
        """Search for a new random point, watched by `dog`. Return the answer and the point."""
        place = self.random.integers(0, COUNT)
        noise = 0.5 * self.random.standard_normal(DIMENSION)
        vector = np.asarray(self.vectors[place] + noise, np.float32)
        asked = GivenVector("visual", "bench", DIMENSION, vector.astype("<f4").tobytes())
        query = SearchQuery("default", vector=asked, condition=CHEAP, top_k=TOP)
        deps = Searcher(self.record, self.index, self.columns, samples=self.samples)
        answer = await search(query, deps, lambda: None)
        dog.see(query, answer)
        return answer, vector

    def recall(self, answer: FoundNearest, vector: Floats) -> float:
        """Return the recall of an answer against all matching products."""
        passing = self.vectors[: int(PASSING * COUNT)]
        scores = exact_scores(vector[None], passing, self.generation.parameters.metric)[0]
        best = {f"p{n}" for n in np.argsort(-scores)[:TOP]}
        found = set(answer.candidates.product_ids)
        return len(found & best) / TOP

    async def estimate(self) -> None:
        """Search until the watchdog has an estimate."""
        dog = Watchdog(self.record, share=1.0, settle=0.0, rest=0.0)
        await self.search(dog)
        await dog.caught_up()
        recalls: list[float] = []
        while len(recalls) < LEAST_LOOKS:
            answer, vector = await self.search(dog)
            await dog.caught_up()
            recalls.append(self.recall(answer, vector))
        (verdict,) = dog.verdicts()
        seen = verdict.recall
        interval = Interval(seen.value, seen.lower, seen.upper)
        self.estimated = Estimated(answer.plan, float(np.mean(recalls)), interval)

    async def compare(self) -> None:
        """Measure the latency of searches of which a share is sampled."""
        dogs = {share: Watchdog(self.record, share=share, settle=0.0) for share in SHARES}
        self.seconds = {share: [] for share in SHARES}
        for block in range(-1, BLOCKS):
            for share, dog in dogs.items():
                took = []
                for _ in range(BLOCK):
                    begun = time.perf_counter()
                    await self.search(dog)
                    took.append(time.perf_counter() - begun)
                if block >= 0:
                    self.seconds[share].append(took)
                await dog.close()


def run(say: Callable[[str], None]) -> BenchResult:
    """Fill a record and Milvus Lite, measure, stop it."""
    with tempfile.TemporaryDirectory() as folder, milvus_lite(Path(folder) / "engine") as engine:
        return result(asyncio.run(measure(engine.uri, Path(folder), say)))


async def measure(uri: str, folder: Path, say: Callable[[str], None]) -> Bench:
    """Measure both parts on a running engine."""
    db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
    db.migrate()
    record, index = Record(db), MilvusIndex(uri, seconds=120)
    random = np.random.default_rng(SEED)
    centres = random.standard_normal((CLUSTERS, DIMENSION))[random.integers(0, CLUSTERS, COUNT)]
    noise = SPREAD * random.standard_normal((COUNT, DIMENSION))
    vectors = np.asarray(centres + noise, np.float32)
    try:
        say(f"{COUNT:,} products of {DIMENSION} dimensions are loaded")
        made = await _filled(record, index, vectors, await acquired(db))
        columns = Columns(record, exact_rows=0, patience=None)
        bench = Bench(vectors, record, index, made, random, columns)
        say("Searched with the planner's ef: latencies")
        await bench.compare()
        say("Searched with an ef that is too low")
        with _low():
            await bench.estimate()
    finally:
        await index.close()
        db.close()
    return bench


async def _filled(record: Record, index: MilvusIndex, vectors: Floats, lease: Lease) -> Generation:
    parameters = IndexParameters(kind=IndexKind.HNSW, ef=TOP)
    made = await record.create_generation(generation("watchdog", DIMENSION, parameters))
    await index.create(made.collection, DIMENSION, made.parameters)
    for start in range(0, COUNT, BATCH):
        numbers = range(start, start + BATCH)
        await record.write("default", [_product(number) for number in numbers])
        await record.save_vectors(made, [VectorWrite(image_id(n), vectors[n]) for n in numbers])
    applied = await apply_outbox(made, record, index, lease)
    while applied.more:
        applied = await apply_outbox(applied.generation, record, index, lease)
    await index.flush(made.collection)
    return applied.generation


def _product(number: int) -> ProductWrite:
    photo = image_id(number)
    content = ProductContent(
        product_id=f"p{number}",
        title=f"Product {number}",
        price=Money("EUR", number * 10**6),
        image_ids=(photo,),
    )
    return ProductWrite(content, {photo: Image(photo, "image/jpeg", 10, 4, 3)})


@contextmanager
def _low() -> Iterator[None]:
    before, planning.EF_FACTOR = planning.EF_FACTOR, LOW_FACTOR  # type: ignore[assignment]
    try:
        yield
    finally:
        planning.EF_FACTOR = before


def result(bench: Bench) -> BenchResult:
    """Return tables, figures and goals of the measurements."""
    seen = bench.estimated
    assert seen is not None
    estimating = BenchTable(
        title=f"An ef that is too low: {COUNT:,} products, a filter that passes {PASSING:.0%}",
        headers=("plan", f"recall@{TOP}", "estimate", "its 95% interval"),
        rows=(
            (
                seen.plan,
                f"{seen.recall:.3f}",
                f"{seen.estimate.value:.3f}",
                f"{seen.estimate.low:.3f} to {seen.estimate.high:.3f}",
            ),
        ),
        caption=(
            f"Milvus Lite, HNSW, {DIMENSION}-d. {LEAST_LOOKS} searches, all checked; "
            "recall by comparison with every row, the estimate by a subset of 2,000."
        ),
    )
    flat = {
        share: [each for block in blocks for each in block]
        for share, blocks in bench.seconds.items()
    }
    costs = {share: _cost(bench.seconds, share) for share in SHARES[1:]}
    costing = BenchTable(
        title="Cost of checks for concurrent searches",
        headers=("share checked", "p50 ms", "p99 ms", "time ÷ without checks"),
        rows=tuple(
            (
                f"{share:.0%}",
                f"{1e3 * percentile(seconds, 0.5).value:.1f}",
                f"{1e3 * percentile(seconds, 0.99).value:.1f}",
                f"{costs[share].value:.3f} ({costs[share].low:.3f} to {costs[share].high:.3f})"
                if share
                else "1",
            )
            for share, seconds in flat.items()
        ),
        caption=f"{BLOCKS} blocks of {BLOCK} searches of each kind, in alternation; one client.",
    )
    return BenchResult(
        tables=(estimating, costing),
        figures={
            "products": COUNT,
            "dimension": DIMENSION,
            "plan": seen.plan,
            "recall": seen.recall,
            "estimate": seen.estimate.value,
            "p50_seconds": {str(s): percentile(v, 0.5).value for s, v in flat.items()},
        },
        goals=[_estimate_goal(seen), _cost_goal(costs[SHARES[1]])],
    )


def _cost(seconds: dict[float, list[list[float]]], share: float) -> Interval:
    """Return the ratio of the blocks' median times to those without sampling."""
    medians = [
        (float(np.median(one)), float(np.median(other)))
        for one, other in zip(seconds[share], seconds[0.0], strict=True)
    ]
    return ratio(medians)


def _estimate_goal(seen: Estimated) -> Goal:
    wrong = abs(seen.estimate.value - seen.recall)
    return Goal("estimate's distance from recall", MOST_WRONG, "", Interval(wrong, wrong, wrong))


def _cost_goal(cost: Interval) -> Goal:
    return Goal(f"median search with {SHARES[1]:.0%} looked at / with none", MOST_SLOWER, "", cost)
