"""Search: recall and latency under filters, beside bare pymilvus on the same collection."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pymilvus import MilvusClient

from bench.model import Goal, Interval, Result, Table
from bench.statistics import percentile
from retriever.filters import compile_filter, shaped
from retriever.index import apply_outbox
from retriever.milvus import MilvusIndex
from retriever.model import (
    Generation,
    GenerationState,
    GivenVector,
    Image,
    IndexKind,
    IndexParameters,
    ProductContent,
    ProductWrite,
    VectorWrite,
)
from retriever.nearest import exact_scores
from retriever.record import Record
from retriever.sampling import Samples
from retriever.search import Query, search
from servicekit.sql import Database
from sightline_rules.filters import All, Comparison, Filter, Money, Operator
from tests.engines import EngineProcess, milvus_lite, milvus_server

Say: TypeAlias = Callable[[str], None]
Floats: TypeAlias = npt.NDArray[np.float32]

SEED = 20
COUNT = 10_000
DIMENSION = 1_280
CLUSTERS = 200
SPREAD = 0.7
"""Standard deviation within a cluster; the clusters' centres have 1."""
QUERIES = 50
TOP = 100
BATCH = 1_000
PARAMETERS = IndexParameters(kind=IndexKind.HNSW)
SHARES = (0.5, 0.05, 0.005)
BUILD_SECONDS = 120.0
LEAST_PLAIN, LEAST_FILTERED = 0.99, 0.98
ENGINES: dict[str, Callable[[Path], AbstractContextManager[EngineProcess]]] = {
    "Milvus Lite": milvus_lite,
    "Milvus server": milvus_server,
}


@dataclass(frozen=True, slots=True)
class Data:
    """Products in random order of their prices and tags, and what is asked."""

    vectors: Floats
    queries: Floats
    ranks: npt.NDArray[np.int64]
    """The product's place in a random order, from 0: its price, and what decides its tags."""


@dataclass(slots=True)
class Case:
    """One engine and one filter."""

    engine: str
    name: str
    share: float
    condition: Filter
    recalls: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    hydrating: list[float] = field(default_factory=list)
    bare_recalls: list[float] = field(default_factory=list)
    bare_seconds: list[float] = field(default_factory=list)
    plan: str = ""


def data(count: int = COUNT, dimension: int = DIMENSION) -> Data:
    """Clustered vectors; queries are points of the same clusters."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((CLUSTERS, dimension))

    def points(number: int) -> Floats:
        chosen = centres[rng.integers(0, CLUSTERS, number)]
        noise = SPREAD * rng.standard_normal((number, dimension))
        return np.asarray(chosen + noise, dtype=np.float32)

    return Data(points(count), points(QUERIES), rng.permutation(count))


def cases(engine: str, count: int) -> list[Case]:
    """Plain, and each share by a field that the record has an index for and by one it has not."""
    found = [Case(engine, "plain", 1.0, All())]
    for share in SHARES:
        price = Money("EUR", int(share * count) * 10**6)
        by_price = Comparison("price", Operator.LESS, price)
        by_tag = Comparison("tags", Operator.CONTAINS, _tag(share))
        found.append(Case(engine, f"{share:.1%} by price", share, by_price))
        found.append(Case(engine, f"{share:.1%} by tag", share, by_tag))
    return found


def _tag(share: float) -> str:
    return f"share {share}"


def run(say: Say) -> Result:
    """Fills a record and each engine, measures, stops them."""
    given, done = data(), []
    for name, start in ENGINES.items():
        with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "engine") as engine:
            say(f"{name}: {len(given.vectors):,} products of {DIMENSION:,} dimensions are loaded")
            done += asyncio.run(measure(name, engine.uri, Path(folder), given, say))
    return result(done)


async def measure(name: str, uri: str, folder: Path, given: Data, say: Say) -> list[Case]:
    """Fills a record in `folder` and the engine, and asks both ways."""
    db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.migrations")
    db.migrate()
    record, index = Record(db), MilvusIndex(uri, seconds=120)
    bare = MilvusClient(uri)
    try:
        generation = await _fill(record, index, given)
        _built(bare, generation.collection, len(given.vectors), name)
        say(f"{name}: searched")
        samples, found = Samples(), cases(name, len(given.vectors))
        for number in range(-3, len(given.queries)):  # a few to warm up, and cases by turns
            for case in found:
                await _search(case, number, given, record, index, samples)
                _search_bare(case, number, given, bare, generation)
    finally:
        bare.close()
        await index.close()
        db.close()
    return found


class _Alone:
    """Nobody else writes here."""

    def left(self) -> float:
        return 600.0


async def _fill(record: Record, index: MilvusIndex, given: Data) -> Generation:
    made = Generation(
        catalog_id="default",
        name="bench",
        space="visual",
        space_version="bench",
        dimension=given.vectors.shape[1],
        collection=shaped("bench_visual"),
        state=GenerationState.READY,
        active=True,
        created=0,
        applied_seq=0,
        applied_time=0,
        check_wanted=False,
        parameters=PARAMETERS,
    )
    made = await record.create_generation(made)
    await index.create(made.collection, made.dimension, made.parameters)
    for start in range(0, len(given.vectors), BATCH):
        numbers = range(start, min(start + BATCH, len(given.vectors)))
        count = len(given.vectors)
        await record.write("default", [_product(n, int(given.ranks[n]), count) for n in numbers])
        await record.save_vectors(made, [VectorWrite(_id(n), given.vectors[n]) for n in numbers])
    applied = await apply_outbox(made, record, index, _Alone())
    while applied.more:
        applied = await apply_outbox(applied.generation, record, index, _Alone())
    await index.flush(made.collection)
    return made


def _id(number: int) -> str:
    return f"{number:064x}"


def _product(number: int, rank: int, count: int) -> ProductWrite:
    content = ProductContent(
        product_id=f"p{number}",
        title=f"Product {number}",
        price=Money("EUR", rank * 10**6),
        tags=tuple(_tag(share) for share in SHARES if rank < int(share * count)),
        image_ids=(_id(number),),
    )
    return ProductWrite(content, {_id(number): Image(_id(number), "image/jpeg", 10, 4, 3)})


def _built(client: MilvusClient, collection: str, count: int, engine: str) -> None:
    """Until the server has its graph in memory: till then it compares one by one."""
    if engine != "Milvus server":
        return
    until = time.monotonic() + BUILD_SECONDS
    while int(client.describe_index(collection, "vector").get("indexed_rows", 0)) < count:
        if time.monotonic() > until:
            raise OSError(f"{engine} did not build its graph within {BUILD_SECONDS:.0f} s")
        time.sleep(0.5)
    client.release_collection(collection)
    client.load_collection(collection)
    time.sleep(3)


def _truth(case: Case, number: int, given: Data) -> set[str]:
    """The exact nearest of those that pass."""
    passing = np.flatnonzero(given.ranks < case.share * len(given.ranks))
    wanted = min(TOP, len(passing))
    scores = exact_scores(given.queries[[number]], given.vectors[passing], PARAMETERS.metric)[0]
    return {f"p{n}" for n in passing[np.argsort(-scores)[:wanted]]}


async def _search(
    case: Case, number: int, given: Data, record: Record, index: MilvusIndex, samples: Samples
) -> None:
    vector = given.queries[number]
    asked = GivenVector("visual", "bench", len(vector), vector.astype("<f4").tobytes())
    query = Query("default", vector=asked, condition=case.condition, top_k=TOP)
    stages: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        stages[stage] = stages.get(stage, 0.0) + time.perf_counter() - begun

    begun = time.perf_counter()
    answer = await search(query, record, index, lambda: None, measure, samples=samples)
    took = time.perf_counter() - begun
    if number >= 0:
        expected = _truth(case, number, given)
        found = {match.product.content.product_id for match in answer.matches}
        case.recalls.append(len(found & expected) / len(expected))
        case.seconds.append(took)
        case.hydrating.append(stages["hydrate"])
        case.plan = answer.plan


def _search_bare(
    case: Case, number: int, given: Data, client: MilvusClient, generation: Generation
) -> None:
    begun = time.perf_counter()
    answer = client.search(
        generation.collection,
        data=[given.queries[number].tolist()],
        filter=compile_filter(case.condition),
        limit=TOP,
        output_fields=["product_id", "image_id"],
        search_params={"metric_type": "COSINE", "params": {"ef": max(TOP, PARAMETERS.ef)}},
        consistency_level="Bounded",
    )
    took = time.perf_counter() - begun
    if number >= 0:
        expected = _truth(case, number, given)
        found = {hit["entity"]["product_id"] for hit in answer[0]}
        case.bare_recalls.append(len(found & expected) / len(expected))
        case.bare_seconds.append(took)


def result(done: Sequence[Case]) -> Result:
    """Tables, figures and goals of what was measured."""
    rows = tuple(
        (
            case.engine,
            case.name,
            f"{np.mean(case.recalls):.3f}",
            f"{np.percentile(case.recalls, 10):.2f}",
            f"{np.mean(case.bare_recalls):.3f}",
            f"{1e3 * percentile(case.seconds, 0.5).value:.1f}",
            f"{1e3 * percentile(case.hydrating, 0.5).value:.1f}",
            f"{1e3 * percentile(case.bare_seconds, 0.5).value:.1f}",
            case.plan,
        )
        for case in done
    )
    headers = ("engine", "filter", f"recall@{TOP}", "lowest decile", "bare", "p50 ms")
    table = Table(
        title=f"Searches of {COUNT:,} products, {DIMENSION:,} dimensions, HNSW",
        headers=(*headers, "of it record", "bare p50 ms", "plan"),
        rows=rows,
        caption=(
            f"{QUERIES} queries, one client, without gRPC of the suite's own. Bare: pymilvus, the "
            f"same collection and filter, limit {TOP}, ef {max(TOP, PARAMETERS.ef)}. "
            "The plan is that of the last query."
        ),
    )
    return Result(
        tables=(table,),
        figures={
            "products": COUNT,
            "dimension": DIMENSION,
            "seed": SEED,
            "cases": [_figures(case) for case in done],
        },
        goals=[_goal(case) for case in done],
    )


def _figures(case: Case) -> dict[str, object]:
    return {
        "engine": case.engine,
        "filter": case.name,
        "recall": float(np.mean(case.recalls)),
        "recall_lowest_decile": float(np.percentile(case.recalls, 10)),
        "bare_recall": float(np.mean(case.bare_recalls)),
        "p50_seconds": percentile(case.seconds, 0.5).value,
        "p99_seconds": percentile(case.seconds, 0.99).value,
        "hydrate_p50_seconds": percentile(case.hydrating, 0.5).value,
        "bare_p50_seconds": percentile(case.bare_seconds, 0.5).value,
        "plan": case.plan,
    }


def _goal(case: Case) -> Goal:
    """The mean with its 95% interval by the normal approximation."""
    mean = float(np.mean(case.recalls))
    spread = 1.96 * float(np.std(case.recalls)) / len(case.recalls) ** 0.5
    return Goal(
        name=f"recall@{TOP}, {case.engine}, {case.name}",
        at_most=None,
        unit="",
        measured=Interval(mean, mean - spread, min(1.0, mean + spread)),
        at_least=LEAST_PLAIN if case.share == 1.0 else LEAST_FILTERED,
    )
