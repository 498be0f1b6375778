"""Overhead of a search: the retriever behind gRPC, compared with the engine alone.

Each query is sent in turn to the retriever; to bare pymilvus with the plan that the answer names,
or with the engine's usual plan if the retriever compared vectors in memory; and to an empty server
that answers the same bytes.
"""

import asyncio
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc
import numpy as np
from pymilvus import MilvusClient

from bench.harness import engines, hop
from bench.harness.engines import ENGINES, SPACE, VERSION
from bench.harness.load import closed_loop
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import percentile
from lab.harness.rig import TAG, TAGGED, Filled, Floats, fill, points, server
from retriever.adapters.milvus import filters
from retriever.domain.generation import IndexKind, IndexParameters
from retriever.domain.vectors import exact_scores
from retriever.servicer.filter_messages import condition
from sightline.common.v1 import filter_pb2, vector_pb2
from sightline.retriever.v1.product_service_pb2 import BatchGetProductsRequest
from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceStub
from sightline.retriever.v1.vector_service_pb2 import SearchRequest, SearchResponse
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from tests.engines import free_port

if TYPE_CHECKING:
    from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceAsyncStub
    from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceAsyncStub

Say: TypeAlias = Callable[[str], None]

COUNT = 10_000
TOP = 200
"""Number of requested products, which are hydrated; the goal of hydration is for 200."""
ASKED = ((80, IndexKind.FLAT), (80, IndexKind.HNSW), (1_280, IndexKind.HNSW))
QUERIES = 40
SHORT = ((80, IndexKind.FLAT), (1_280, IndexKind.HNSW))
"""What is asked without `--full`."""
UNREAD = 8
"""Queries before the retriever has read all products; of these only the hydration counts."""
PAGE = 500
"""Number of products per read."""
LOADED = 120
"""Requests of a measurement of throughput."""
MOST_RATIO = 1.15
MOST_HYDRATION_MS = 2.0
LONG = "only in the long form (python -m lab --full latency)"
PARTS = ("search", "of it record", "unread", "bare engine", "empty hop")
_PLAN = re.compile(
    r"(?P<route>flat|graph|exact|in memory)(?: ef (?P<ef>\d+))?(?P<made_up>, then exact)?"
)
_ROWS = re.compile(r"1 round, (?P<rows>\d+) rows")
"""Rows requested of the engine. A search in memory requests none, and its peer the wanted number.
"""


@dataclass(slots=True)
class LatencyCase:
    """One engine, one index and one filter."""

    engine: str
    index: str
    name: str
    filter: filter_pb2.Filter | None
    plan: str = ""
    suite: list[float] = field(default_factory=list)
    hydration: list[float] = field(default_factory=list)
    unread: list[float] = field(default_factory=list)
    """Hydration of queries whose products were mostly not cached."""
    bare: list[float] = field(default_factory=list)
    hop: list[float] = field(default_factory=list)
    """Seconds of each series for the same queries in the same order, except `unread`."""

    @property
    def ratios(self) -> list[float]:
        """Return (search − hydration) ÷ (engine + hop) of each query."""
        parts = zip(self.suite, self.hydration, self.bare, self.hop, strict=True)
        return [(suite - hydration) / (bare + hop) for suite, hydration, bare, hop in parts]


@dataclass(slots=True)
class Throughput:
    """Requests a second without a filter."""

    engine: str
    index: str
    by_clients: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LatencyPeers:
    """The three servers that are called."""

    filled: Filled
    vectors: "VectorServiceAsyncStub"
    bare: MilvusClient
    keep: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
    call: "grpc.aio.UnaryUnaryMultiCallable[SearchRequest, SearchResponse]"


def run(say: Say) -> BenchResult:
    """Fill each engine, start the retriever on it, measure, stop them."""
    return _run(SHORT, say)


def full(say: Say) -> BenchResult:
    """Measure every index."""
    return _run(ASKED, say)


def _run(asked: Sequence[tuple[int, IndexKind]], say: Say) -> BenchResult:
    cases: list[LatencyCase] = []
    throughputs: list[Throughput] = []
    for engine, start in ENGINES.items():
        with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "engine") as running:
            for dimension, kind in asked:
                say(f"{engine}: {COUNT:,} products of {dimension:,} dimensions, {kind}")
                place = Path(folder) / f"{dimension}-{kind}"
                place.mkdir()
                done, throughput = asyncio.run(
                    _measure(engine, running.uri, place, dimension, kind)
                )
                cases += done
                throughputs.append(throughput)
    left_out = [
        LatencyCase(engine, _index(*each), name, condition)
        for engine in ENGINES
        for each in ASKED
        if each not in asked
        for name, condition in _filters().items()
    ]
    return result(cases, throughputs, left_out)


def _index(dimension: int, kind: IndexKind) -> str:
    return f"{dimension:,}-d {kind}"


async def _measure(
    engine: str, uri: str, folder: Path, dimension: int, kind: IndexKind
) -> tuple[list[LatencyCase], Throughput]:
    parameters = IndexParameters(kind=kind)
    filled = await fill(folder, engine, uri, points(COUNT, dimension), parameters)
    queries = points(UNREAD + QUERIES + 2 * LOADED, dimension, seed=1)
    index = _index(dimension, kind)
    cases = [LatencyCase(engine, index, name, asked) for name, asked in _filters().items()]
    with server(filled) as port, _hop() as hop_port:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            grpc.aio.insecure_channel(f"127.0.0.1:{hop_port}") as empty,
        ):
            ends = LatencyPeers(
                filled,
                VectorServiceStub(channel),
                engines.client(uri),
                empty.unary_unary(hop.KEEP, bytes, bytes),
                empty.unary_unary(
                    hop.CALL, SearchRequest.SerializeToString, SearchResponse.FromString
                ),
            )
            try:
                await ends.keep(b"", wait_for_ready=True)
                for query in queries[:UNREAD]:
                    for case in cases:
                        answer = await ends.vectors.Search(_request(query, case.filter))
                        case.unread.append(_hydration(answer))
                await _read_all(ProductServiceStub(channel))
                for query in queries[UNREAD : UNREAD + QUERIES]:
                    for case in cases:
                        await _ask(case, query, ends)
                throughput = Throughput(engine, index)
                for clients, some in zip((1, 8), np.split(queries[-2 * LOADED :], 2), strict=True):
                    throughput.by_clients[clients] = await _load(some, clients, ends)
            finally:
                ends.bare.close()
    return cases, throughput


def _filters() -> dict[str, filter_pb2.Filter | None]:
    """Return no filter, one that the record does not index, and one that it does."""
    compared, value = filter_pb2.Comparison, filter_pb2.FilterValue
    tag = compared(field="tags", operator=compared.OPERATOR_CONTAINS, value=value(text=TAG))
    brand = compared(field="brand", operator=compared.OPERATOR_EQUAL, value=value(text="Brand 7"))
    return {
        "plain": None,
        f"{1 / TAGGED:.0%} by tag": filter_pb2.Filter(comparison=tag),
        "1% by brand": filter_pb2.Filter(comparison=brand),
    }


@contextlib.contextmanager
def _hop() -> Iterator[int]:
    """Start an empty server in a process of its own. Yield its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.harness.hop", str(port)])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


async def _read_all(products: "ProductServiceAsyncStub") -> None:
    """Have the retriever read every product, as after a day of searches."""
    for start in range(0, COUNT, PAGE):
        names = [f"p{number}" for number in range(start, start + PAGE)]
        await products.BatchGetProducts(BatchGetProductsRequest(product_ids=names))


def _hydration(answer: SearchResponse) -> float:
    """Return the seconds that a search spent on reading the record, or 0 when columns in memory
    answered it.
    """
    stages = {each.stage: each.total.ToTimedelta() for each in answer.stage_timings}
    return stages["hydrate"].total_seconds() if "hydrate" in stages else 0.0


async def _ask(case: LatencyCase, query: Floats, ends: LatencyPeers) -> None:
    """Send one query to the suite, to bare pymilvus and to the empty server."""
    request = _request(query, case.filter)
    begun = time.perf_counter()
    answer: SearchResponse = await ends.vectors.Search(request)
    suite = time.perf_counter() - begun
    case.plan = answer.plan
    bare = _bare(query, case, ends)
    await ends.keep(answer.SerializeToString())
    begun = time.perf_counter()
    await ends.call(request)
    empty = time.perf_counter() - begun
    case.suite.append(suite)
    case.hydration.append(_hydration(answer))
    case.bare.append(bare)
    case.hop.append(empty)


def _request(query: Floats, asked: filter_pb2.Filter | None) -> SearchRequest:
    vector = vector_pb2.Vector(
        space=SPACE,
        space_version=VERSION,
        dimension=len(query),
        data=query.astype("<f4").tobytes(),
    )
    return SearchRequest(vector=vector, top_k=TOP, filter=asked)


def _bare(query: Floats, case: LatencyCase, ends: LatencyPeers) -> float:
    """Return the seconds that pymilvus takes for the plan of the suite's answer."""
    plan, rows = _PLAN.match(case.plan), _ROWS.search(case.plan)
    if plan is None or (rows is None and plan["route"] != "in memory"):
        raise OSError(f"no peer for a search with this plan: {case.plan}")
    generation = ends.filled.generation
    expression = "" if case.filter is None else filters.compile_filter(condition(case.filter))
    begun = time.perf_counter()
    if plan["route"] == "exact":
        _exact(query, expression, ends)
    else:
        how = {"params": {"ef": int(plan["ef"])}} if plan["ef"] else {}
        (hits,) = ends.bare.search(
            generation.collection,
            data=[query.tolist()],
            filter=expression,
            limit=int(rows["rows"]) if rows else TOP,
            output_fields=["product_id", "image_id"],
            search_params={"metric_type": str(generation.parameters.metric), **how},
            consistency_level="Bounded",
        )
        # pymilvus parses a hit's fields only on access, so each is accessed.
        _ = [(hit["id"], hit["distance"], dict(hit["entity"])) for hit in hits]
        if plan["made_up"]:
            _exact(query, expression, ends)
    return time.perf_counter() - begun


def _exact(query: Floats, expression: str, ends: LatencyPeers) -> None:
    """Read every matching row with its vector from the engine and compare it here."""
    generation = ends.filled.generation
    found = ends.bare.query(
        generation.collection,
        filter=expression,
        output_fields=["id", "product_id", "image_id", "vector"],
        limit=2_000,
        consistency_level="Bounded",
    )
    held = np.array([row["vector"] for row in found], dtype=np.float32)
    scores = exact_scores(query[None], held, generation.parameters.metric)[0]
    _ = [found[place] for place in np.argsort(-scores)]


async def _load(queries: Floats, clients: int, ends: LatencyPeers) -> float:
    """Return the requests a second of several clients."""
    requests = [_request(query, None) for query in queries]

    async def call(request: SearchRequest) -> SearchResponse:
        answer: SearchResponse = await ends.vectors.Search(request)
        return answer

    _, seconds = await closed_loop(requests, clients, call)
    return len(requests) / seconds


def result(
    cases: Sequence[LatencyCase],
    throughputs: Sequence[Throughput],
    left_out: Sequence[LatencyCase] = (),
) -> BenchResult:
    """Return tables, figures and goals of the measurements, and goals of omitted cases."""
    table = BenchTable(
        title=f"A search of {COUNT:,} products for {TOP}, p50 in ms",
        headers=("engine", "index", "filter", *PARTS, "ratio", "plan"),
        rows=tuple(_row(case) for case in cases),
        caption=(
            f"{QUERIES} queries, one client, in alternation. Bare engine: pymilvus with the same "
            "plan, or with its usual one if the plan is in memory; if the plan compares matches, "
            "they are read from the engine. Ratio, for each query: (search − reading the record) ÷ "
            "(bare engine + empty hop). "
            "Unread: reading the record while most products were not read before."
        ),
    )
    loads = BenchTable(
        title="Searches a second, without a filter",
        headers=("engine", "index", "1 client", "8 clients"),
        rows=tuple(
            (each.engine, each.index, *(f"{rate:.0f}" for rate in each.by_clients.values()))
            for each in throughputs
        ),
        caption=f"{LOADED} requests each; clients, retriever and engine share the machine.",
    )
    return BenchResult(
        tables=(table, loads),
        figures={
            "products": COUNT,
            "top": TOP,
            "cases": [_figures(case) for case in cases],
            "throughput": [
                {"engine": t.engine, "index": t.index, "by_clients": t.by_clients}
                for t in throughputs
            ],
        },
        goals=[goal for case in (*cases, *left_out) for goal in _goals(case)],
    )


def _row(case: LatencyCase) -> tuple[str, ...]:
    parts = (case.suite, case.hydration, case.unread, case.bare, case.hop)
    ratio = percentile(case.ratios, 0.5)
    return (
        case.engine,
        case.index,
        case.name,
        *(f"{1e3 * percentile(part, 0.5).value:.1f}" for part in parts),
        f"{ratio.value:.2f}",
        case.plan,
    )


def _figures(case: LatencyCase) -> dict[str, object]:
    return {
        "engine": case.engine,
        "index": case.index,
        "filter": case.name,
        "plan": case.plan,
        "ratio_p50": percentile(case.ratios, 0.5).value,
        "search_p50_seconds": percentile(case.suite, 0.5).value,
        "search_p99_seconds": percentile(case.suite, 0.99).value,
        "hydration_p50_seconds": percentile(case.hydration, 0.5).value,
        "hydration_p99_seconds": percentile(case.hydration, 0.99).value,
        "unread_hydration_p50_seconds": percentile(case.unread, 0.5).value,
        "bare_p50_seconds": percentile(case.bare, 0.5).value,
        "hop_p50_seconds": percentile(case.hop, 0.5).value,
    }


def _goals(case: LatencyCase) -> list[Goal]:
    """Return the goal of the ratio, and that of hydration at the goal's number of products."""
    where = f"{case.engine}, {case.index}, {case.name}"
    goals = [
        Goal(
            f"(search − hydration) ÷ (engine + hop), p50, {where}",
            MOST_RATIO,
            "",
            percentile(case.ratios, 0.5) if case.ratios else None,
            missing=LONG,
        )
    ]
    if case.filter is None:
        ms = percentile([1e3 * each for each in case.hydration], 0.5) if case.hydration else None
        name = f"hydration of {TOP}, p50, {where}"
        goals.append(Goal(name, MOST_HYDRATION_MS, "ms", ms, missing=LONG))
    return goals
