"""Search: recall, latency and throughput under filters, compared with bare pymilvus and,
in the laboratory, an index in this process."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bench.cases.search_report import TOP, Costs, EngineFigures, SearchCase, result
from bench.datasets.corpus import Corpus, clustered
from bench.harness import filling, processes
from bench.harness.engines import ENGINES, SERVER, product_id
from bench.harness.load import closed_loop
from bench.harness.model import BenchResult
from bench.peers.bare_search import BareMilvus, InProcessPeer
from retriever.adapters.milvus.index import MilvusIndex
from retriever.columns.column_cache import Columns
from retriever.domain.generation import Generation, IndexKind, IndexParameters
from retriever.domain.vectors import GivenVector
from retriever.record import Record
from retriever.search.query import SearchQuery
from retriever.search.sampling import Samples
from retriever.search.search import Searcher, search
from servicekit.sql.database import Database
from tests.engines import EngineProcess

Say: TypeAlias = Callable[[str], None]
MakePeer: TypeAlias = Callable[[Corpus, Generation, int], InProcessPeer]

CLIENTS = 8
WARM_UPS = 3
PARAMETERS = IndexParameters(kind=IndexKind.HNSW)


@dataclass(slots=True)
class SearchShop:
    """A filled record and collection, ready to be searched."""

    corpus: Corpus
    generation: Generation
    record: Record
    index: MilvusIndex
    bare: BareMilvus
    cases: list[SearchCase]
    peer: InProcessPeer | None = None
    samples: Samples = field(default_factory=Samples)
    columns: Columns = field(init=False)
    """Columns without vectors, so that the engine answers."""

    def __post_init__(self) -> None:
        self.columns = Columns(self.record, exact_rows=0, patience=None)


def run(say: Say) -> BenchResult:
    """Fill a record and each engine with 10,000 products of 1,280 dimensions, and search."""
    corpus = clustered(10_000, 1_280)
    return result([measured(name, [corpus], say) for name in ENGINES])


def measured(
    engine: str,
    corpora: Sequence[Corpus],
    say: Say,
    *,
    peer: MakePeer | None = None,
    parameters: IndexParameters = PARAMETERS,
    rates: bool = True,
) -> EngineFigures:
    """Measure one engine that has all of the corpora, in alternation. `rates`: also measure answers
    a second with several clients; they are 0 otherwise.
    """
    with tempfile.TemporaryDirectory() as folder, ENGINES[engine](Path(folder) / "engine") as run:
        return asyncio.run(
            _measured(
                run,
                engine,
                Path(folder),
                corpora,
                say=say,
                peer=peer,
                parameters=parameters,
                rates=rates,
            )
        )


async def _measured(
    process: EngineProcess,
    engine: str,
    folder: Path,
    corpora: Sequence[Corpus],
    *,
    say: Say,
    peer: MakePeer | None,
    parameters: IndexParameters,
    rates: bool,
) -> EngineFigures:
    async with AsyncExitStack() as closing:
        shops, costs = [], []
        for number, corpus in enumerate(corpora):
            say(f"{engine}: {len(corpus):,} products of {corpus.dimension:,} dimensions are loaded")
            shop, cost = await closing.enter_async_context(
                _opened(process, engine, folder / f"record{number}", corpus, parameters)
            )
            if peer is not None:
                shop.peer = await asyncio.to_thread(peer, corpus, shop.generation, TOP)
                cost = replace(cost, faiss_seconds=shop.peer.build_seconds)
            shops.append(shop)
            costs.append(cost)
        say(f"{engine}: searched by one client" + f", then by {CLIENTS}" * rates)
        await _ask_by_turns(shops)
        for shop in shops if rates else ():
            await _ask_at_once(shop)
        return EngineFigures([case for shop in shops for case in shop.cases], costs)


@contextlib.asynccontextmanager
async def _opened(
    process: EngineProcess, engine: str, file: Path, corpus: Corpus, parameters: IndexParameters
) -> AsyncIterator[tuple[SearchShop, Costs]]:
    db = Database(f"sqlite:///{file}.db", migrations="retriever.record.migrations")
    db.migrate()
    record, index = Record(db), MilvusIndex(process.uri, seconds=120)
    made = await filling.generation(record, index, corpus, parameters, f"n{len(corpus)}")
    inserting = await asyncio.to_thread(filling.fill_engine, process.uri, made.collection, corpus)
    building = asyncio.to_thread(
        filling.build,
        process.uri,
        {made.collection: len(corpus)},
        server=engine == SERVER,
    )
    build, recording = await asyncio.gather(
        building, asyncio.to_thread(filling.fill_record, db, made, corpus)
    )
    cases = [
        SearchCase(engine, len(corpus), corpus.dimension, name, share, condition)
        for share in (1.0, *corpus.shares)
        for name, condition in corpus.conditions(share)
    ]
    bare = BareMilvus(process.uri, made, TOP)
    assert process.process is not None
    memory = processes.memory_of_tree(process.process.pid)
    costs = Costs(engine, len(corpus), corpus.dimension, inserting, build, recording, 0.0, memory)
    try:
        yield SearchShop(corpus, made, record, index, bare, cases), costs
    finally:
        bare.close()
        await index.close()
        db.close()


async def _ask_by_turns(shops: Sequence[SearchShop]) -> None:
    """Run each query of each case in each way in alternation, so that a slow minute affects all
    equally.
    """
    for number in range(-WARM_UPS, min(len(shop.corpus.queries) for shop in shops)):
        for shop in shops:
            for case in shop.cases:
                await _ask(shop, case, number)


async def _ask(shop: SearchShop, case: SearchCase, number: int) -> None:
    counts = number >= 0
    nearest = shop.corpus.nearest(case.share, TOP)[number]
    expected = [product_id(each) for each in nearest]
    stages: dict[str, float] = {}
    begun = time.perf_counter()
    found, plan = await _search(shop, case, number, stages)
    took = time.perf_counter() - begun
    if counts:
        case.ours.note(found, expected, took)
        case.hydrating.append(stages.get("hydrate", 0.0))
        case.plan = plan
    begun = time.perf_counter()
    bare = shop.bare.search(shop.corpus.queries[number], case.condition)
    if counts:
        case.bare.note(bare, expected, time.perf_counter() - begun)
    if shop.peer is None:
        return
    for ask, seen in ((shop.peer.graph, case.graph), (shop.peer.flat, case.flat)):
        begun = time.perf_counter()
        answer = ask(number, case.share)
        if counts:
            seen.note(answer, nearest, time.perf_counter() - begun)


async def _search(
    shop: SearchShop, case: SearchCase, number: int, stages: dict[str, float]
) -> tuple[list[str], str]:
    """Return the ids of products, nearest first, and the plan."""

    @contextlib.contextmanager
    def measure(stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        stages[stage] = stages.get(stage, 0.0) + time.perf_counter() - begun

    vector = shop.corpus.queries[number]
    asked = GivenVector("visual", "bench", len(vector), vector.astype("<f4").tobytes())
    query = SearchQuery("default", vector=asked, condition=case.condition, top_k=TOP)
    deps = Searcher(shop.record, shop.index, shop.columns, samples=shop.samples)
    answer = await search(query, deps, lambda: None, measure)
    return answer.candidates.product_ids, answer.plan


async def _ask_at_once(shop: SearchShop) -> None:
    """Measure answers a second with several clients: ours in one event loop, as in the service,
    bare pymilvus in as many threads.
    """
    for case in shop.cases:
        numbers = range(len(shop.corpus.queries))
        _, seconds = await closed_loop(numbers, CLIENTS, partial(_search, shop, case, stages={}))
        case.ours.rate = len(numbers) / seconds
        seconds = await asyncio.to_thread(_ask_bare_at_once, shop, case)
        case.bare.rate = len(numbers) / seconds


def _ask_bare_at_once(shop: SearchShop, case: SearchCase) -> float:
    """Return the seconds that all queries took together."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        asked = [
            threads.submit(shop.bare.search, query, case.condition) for query in shop.corpus.queries
        ]
        for each in asked:
            each.result()
    return time.perf_counter() - begun
