"""Candidates by behavior: from the ranker's memory or from the index.

"Memory" is the complete work of `Nominate` with a model: exact, over every product. "Index" is the
engine with one pymilvus client only, with a collection as a publication creates it; an answer
through the retriever takes an additional hop and a read of the record. The gateway reads the record
in both cases.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pymilvus import MilvusClient

from bench.harness import engines
from bench.harness.engines import ENGINES, LITE, SERVER
from bench.harness.model import BenchResult, BenchTable, Interval
from bench.harness.statistics import percentile
from ranker.domain.arrays import Floats
from ranker.domain.model import Model
from ranker.learning.publish import EXACT_UP_TO
from ranker.serving.ranking import generate, parts
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.vectors import item_vectors, query_vector
from retriever.adapters.milvus.index import MilvusIndex
from retriever.domain.collection_names import shaped
from retriever.domain.generation import IndexKind, IndexParameters, VectorMetric
from retriever.domain.index_values import IndexRow
from sightline_rules.facts import Facts
from sightline_rules.filters import All
from sightline_rules.ids import derive_id

SIZES = {LITE: (1_000, 10_000, 100_000), SERVER: (100_000, 300_000), "": (10**6,)}
"""Products by engine; "" = memory alone."""
DIMENSION = 64
TOP_K = 100
SEED = 20261120
ROUNDS = 5
A_ROUND = 60
WARM_UP = 20
UPSERT = 1_000
BUILD_SECONDS = 300.0

Say: TypeAlias = Callable[[str], None]


@dataclass(slots=True)
class CandidateCase:
    """Figures at one size of the catalog."""

    size: int
    engine: str
    """"" = none was asked."""
    memory: list[float] = field(default_factory=list)
    """Seconds of each."""
    index: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    """Fraction of the exact candidates that the index finds too, by query."""
    fill_seconds: float = 0.0
    array_bytes: int = 0


def run(say: Say) -> BenchResult:
    """Measure every size."""
    cases = asyncio.run(_measure(say))
    return BenchResult(
        tables=(_table(cases),),
        figures={
            "settings": {
                "seed": SEED,
                "dimension": DIMENSION,
                "top_k": TOP_K,
                "rounds": ROUNDS,
                "requests_a_round": A_ROUND,
            },
            "cases": [_figures(case) for case in cases],
        },
    )


async def _measure(say: Say) -> list[CandidateCase]:
    cases = []
    for engine, sizes in SIZES.items():
        if not engine:
            cases += [await _case(size, engine, None, say, None) for size in sizes]
            continue
        with tempfile.TemporaryDirectory() as folder, ENGINES[engine](Path(folder) / "data") as ran:
            index = MilvusIndex(ran.uri, seconds=60)
            client = engines.client(ran.uri)
            for size in sizes:
                cases.append(await _case(size, engine, index, say, client))
            await index.close()
            client.close()
    return cases


async def _case(
    size: int, engine: str, index: MilvusIndex | None, say: Say, client: MilvusClient | None
) -> CandidateCase:
    """Run rounds of both sources in alternation, each request for another shopper."""
    say(f"candidates among {size:,} products, {engine or 'memory alone'}")
    draw = np.random.default_rng(SEED + size)
    model, case = _model(size, draw), CandidateCase(size, engine)
    case.array_bytes = model.item_vectors.nbytes + model.item_biases.nbytes
    kind = IndexKind.FLAT if size <= EXACT_UP_TO else IndexKind.HNSW
    parameters, collection = IndexParameters(VectorMetric.IP, kind), shaped(f"bench_{size}")
    if index is not None:
        case.fill_seconds = await _fill(index, collection, model, parameters)
        if kind is IndexKind.HNSW and client is not None:
            await _await_graph(client, collection, size)
    for number in range(ROUNDS + 1):
        count = A_ROUND if number else WARM_UP
        queries = draw.normal(scale=0.3, size=(count, DIMENSION)).astype(np.float32)
        memory, exact = _out_of_memory(queries, model)
        case.memory += memory if number else []
        if index is not None:
            indexed, named = await _out_of_index(queries, index, collection, parameters)
            case.index += indexed if number else []
            case.agreement += [
                len(a & b) / TOP_K for a, b in zip(exact, named, strict=True) if number
            ]
    if index is not None:
        await index.drop(collection)
    return case


def _out_of_memory(queries: Floats, model: Model) -> tuple[list[float], list[set[str]]]:
    """Return the seconds and the candidates of each query from memory."""
    seconds, candidates = [], []
    for query in queries:
        began = time.perf_counter()
        found = generate.by_behaviour(FoldIn(query), model, TOP_K, frozenset())
        seconds.append(time.perf_counter() - began)
        candidates.append(set(found.product_ids))
    return seconds, candidates


async def _out_of_index(
    queries: Floats, index: MilvusIndex, collection: str, parameters: IndexParameters
) -> tuple[list[float], list[set[str]]]:
    """Return the seconds and the candidates of each query from the index."""
    seconds, candidates = [], []
    for query in queries:
        began = time.perf_counter()
        hits = await index.search(
            collection, [query_vector(query)], All(), TOP_K, None, parameters=parameters
        )
        seconds.append(time.perf_counter() - began)
        candidates.append({hit.product_id for hit in hits})
    return seconds, candidates


def _model(size: int, draw: np.random.Generator) -> Model:
    """Return a model whose vectors are as long as LightFM's."""
    ids = tuple(f"p{n:07}" for n in range(size))
    nothing: Floats = np.zeros((0, DIMENSION), np.float32)
    made = Model(
        version="lfm-bench",
        item_ids=ids,
        item_rows={item: row for row, item in enumerate(ids)},
        item_vectors=draw.normal(scale=0.3, size=(size, DIMENSION)).astype(np.float32),
        item_biases=draw.normal(scale=0.3, size=size).astype(np.float32),
        actor_rows={},
        actor_vectors=nothing,
        feature_rows={},
        feature_names=(),
        feature_vectors=nothing,
        feature_biases=np.zeros(0, np.float32),
        score_scale=1.0,
        attribute_keys=(),
    )
    return parts.by_columns(made)  # as the server loads it


async def _fill(
    index: MilvusIndex, collection: str, model: Model, parameters: IndexParameters
) -> float:
    """Write all vectors. Return the seconds it took."""
    vectors, began = item_vectors(model), time.perf_counter()
    await index.create(collection, vectors.shape[1], parameters)
    for start in range(0, len(vectors), UPSERT):
        rows = [
            IndexRow(
                row_id=derive_id("bench", item, ""),
                seq=1,
                product_id=item,
                image_id="",
                facts=Facts(),
                vector=vector,
            )
            for item, vector in zip(
                model.item_ids[start : start + UPSERT],
                vectors[start : start + UPSERT],
                strict=True,
            )
        ]
        await index.upsert(collection, rows)
    await index.flush(collection)
    return time.perf_counter() - began


async def _await_graph(client: MilvusClient, collection: str, count: int) -> None:
    """Wait until the server has loaded its graph: until then it compares row by row."""
    end = time.monotonic() + BUILD_SECONDS
    while int(client.describe_index(collection, "vector").get("indexed_rows", 0)) < count:
        if time.monotonic() > end:
            raise OSError(f"the graph was not built within {BUILD_SECONDS:.0f} s")
        await asyncio.sleep(0.5)
    client.release_collection(collection)
    client.load_collection(collection)


def _table(cases: Sequence[CandidateCase]) -> BenchTable:
    rows = tuple(
        (
            f"{case.size:,}",
            case.engine or "–",
            _milliseconds(case.memory, 0.5),
            _milliseconds(case.memory, 0.99),
            _milliseconds(case.index, 0.5),
            _milliseconds(case.index, 0.99),
            f"{np.mean(case.agreement):.3f}" if case.agreement else "–",
            f"{case.array_bytes / 2**20:.1f}",
            f"{case.fill_seconds:.1f}",
        )
        for case in cases
    )
    return BenchTable(
        title="Nominees by behaviour: memory or index",
        headers=(
            "products",
            "index",
            "memory p50 ms",
            "memory p99 ms",
            "index p50 ms",
            "index p99 ms",
            "same nominees",
            "arrays MiB",
            "index filled in s",
        ),
        rows=rows,
        caption=(
            f"{TOP_K} nominees, {DIMENSION} dimensions, one client, "
            f"{ROUNDS * A_ROUND} requests each; 95% intervals. "
            "The index's are those of the engine alone."
        ),
        section=None,
    )


def _milliseconds(seconds: Sequence[float], share: float) -> str:
    if not seconds:
        return "–"
    found: Interval = percentile(seconds, share)
    return f"{found.value * 1e3:.2f} ({found.low * 1e3:.2f}-{found.high * 1e3:.2f})"


def _figures(case: CandidateCase) -> dict[str, object]:
    return {
        "products": case.size,
        "engine": case.engine,
        "memory_seconds": sorted(case.memory),
        "index_seconds": sorted(case.index),
        "same_nominees": float(np.mean(case.agreement)) if case.agreement else None,
        "array_bytes": case.array_bytes,
        "fill_seconds": case.fill_seconds,
    }
