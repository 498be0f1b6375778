"""Delay until a write is found, and offers written a second.

Upserts with vectors are sent at a fixed rate regardless of their results (an open loop). For a
sample of them, the bench measures the time from the acknowledgement until a search without a token
finds them.
"""

import asyncio
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import numpy as np
from google.type import money_pb2

from bench.harness.engines import ENGINES, LITE, SERVER, SPACE, VERSION, image_id, product_id
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import percentile
from lab.harness.rig import Filled, Floats, fill, points, product, server, worker
from retriever.domain.generation import IndexKind, IndexParameters
from sightline.common.v1 import product_pb2, vector_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import vector_service_pb2
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from tests.peer_stubs import peer_stub

if TYPE_CHECKING:
    from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceAsyncStub

Say: TypeAlias = Callable[[str], None]

COUNT, DIMENSION = 10_000, 80
KINDS = {LITE: IndexKind.FLAT, SERVER: IndexKind.HNSW}
"""The setting that docs/operate/engines.md recommends for this number of products."""
RATE = 500
"""Upserts a second."""
BATCH = 25
"""Upserts per call."""
SECONDS = 20.0
WARM_SECONDS = 3.0
LOOK_EVERY = 8
"""Number of calls; one write of each is searched for."""
PAUSE = 0.05
"""Seconds between two searches for a write, as searches slow down what they measure."""
PATIENCE = 15.0
"""Seconds after which a write counts as not found."""
GAUGE_SECONDS = 1.0
OFFERS, OFFER_BATCHES = 1_000, 30
MOST_LAG, LEAST_OFFERS = 1.0, 5_000.0


@dataclass(slots=True)
class ConsistencyFigures:
    """Figures of one engine. Times in seconds."""

    engine: str
    index: str
    lags: list[float] = field(default_factory=list)
    """Seconds from the acknowledgement of a write until a search found it."""
    gauges: list[float] = field(default_factory=list)
    """Values of the worker's gauge."""
    late: list[float] = field(default_factory=list)
    """Delay of each call after its scheduled time."""
    acknowledged: list[float] = field(default_factory=list)
    """Duration of the two calls of a batch."""
    upserts_per_second: float = 0.0
    offers_per_second: list[float] = field(default_factory=list)
    """Offers a second of each batch."""


@dataclass(frozen=True, slots=True)
class ConsistencyPeers:
    """Stubs and port of the services that the bench calls."""

    products: Any
    vectors: "VectorServiceAsyncStub"
    metrics: int


def run(say: Say) -> BenchResult:
    """Fill each engine, start server and worker, write and search, stop them."""
    done = []
    for engine, start in ENGINES.items():
        with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "engine") as running:
            say(f"{engine}: {COUNT:,} products, then {RATE} upserts a second for {SECONDS:.0f} s")
            done.append(asyncio.run(_measure(engine, running.uri, Path(folder))))
    return result(done)


async def _measure(engine: str, uri: str, folder: Path) -> ConsistencyFigures:
    kind = KINDS[engine]
    filled = await fill(folder, engine, uri, points(COUNT, DIMENSION), IndexParameters(kind=kind))
    found = ConsistencyFigures(engine, f"{DIMENSION}-d {kind}")
    with server(filled) as port, worker(filled) as metrics:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            ends = ConsistencyPeers(
                peer_stub("retriever", channel), VectorServiceStub(channel), metrics
            )
            await _first_write(filled, ends)
            await _upserts(found, filled, ends)
            await _offers(found, ends)
    return found


async def _first_write(filled: Filled, ends: ConsistencyPeers) -> None:
    """Wait until the worker leads and has opened the collection."""
    await _upsert([0], filled.vectors[:1], ends)
    token = (await _upsert([0], filled.vectors[1:2], ends)).index_token
    request = _search(filled.vectors[1])
    request.min_index_token = token
    await ends.vectors.Search(request, timeout=60)


async def _upserts(found: ConsistencyFigures, filled: Filled, ends: ConsistencyPeers) -> None:
    """Upsert products in an open loop, each with a new vector for its photo."""
    vectors = points(int(RATE * (SECONDS + WARM_SECONDS)), filled.vectors.shape[1], seed=2)
    calls = len(vectors) // BATCH
    begun = time.perf_counter()
    sampler = asyncio.create_task(_gauges(found, ends, begun + WARM_SECONDS))

    async def call(number: int) -> None:
        due = begun + number * BATCH / RATE
        await asyncio.sleep(due - time.perf_counter())
        sent = time.perf_counter()
        some = vectors[number * BATCH : (number + 1) * BATCH]
        first = number * BATCH % COUNT
        await _upsert(range(first, first + BATCH), some, ends)
        acknowledged = time.perf_counter()
        if due - begun >= WARM_SECONDS:
            found.late.append(sent - due)
            found.acknowledged.append(acknowledged - sent)
            if number % LOOK_EVERY == 0:
                found.lags.append(await _until_found(f"p{first}", some[0], acknowledged, ends))

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(call(number))
    found.upserts_per_second = len(vectors) / (time.perf_counter() - begun)
    sampler.cancel()


async def _upsert(
    numbers: Sequence[int], vectors: Floats, ends: ConsistencyPeers
) -> vector_service_pb2.UpsertVectorsResponse:
    """Upsert products with another title, the photos that they have and the photos' vectors."""
    stamp = time.time_ns()
    items = [
        product_pb2.Product(
            product_id=content.product_id,
            title=f"{content.title}, {stamp}",
            category_path=content.category_path,
            brand=content.brand,
            price=money_pb2.Money(currency_code="EUR", units=number),
            tags=content.tags,
            images=[product_pb2.ProductImage(image_id=image_id(number))],
        )
        for number in numbers
        for content in [product(number).content]
    ]
    answer = await ends.products.UpsertProducts(gateway_pb.UpsertProductsRequest(products=items))
    given = [
        vector_service_pb2.ImageVector(
            product_id=product_id(number), image_id=image_id(number), vector=_vector(values)
        )
        for number, values in zip(numbers, vectors, strict=True)
    ]
    stored: vector_service_pb2.UpsertVectorsResponse = await ends.vectors.UpsertVectors(
        vector_service_pb2.UpsertVectorsRequest(vectors=given)
    )
    if any(each.status.code for each in answer.results) or any(s.code for s in stored.statuses):
        raise OSError("the retriever refused an upsert")
    return stored


def _vector(values: Floats) -> vector_pb2.Vector:
    return vector_pb2.Vector(
        space=SPACE,
        space_version=VERSION,
        dimension=len(values),
        data=np.ascontiguousarray(values, "<f4").tobytes(),
    )


def _search(values: Floats) -> vector_service_pb2.SearchRequest:
    return vector_service_pb2.SearchRequest(vector=_vector(values), top_k=1)


async def _until_found(
    product_id: str, values: Floats, since: float, ends: ConsistencyPeers
) -> float:
    """Return the seconds until a search for a vector, without a token, finds its product at
    distance 0.
    """
    while time.perf_counter() - since < PATIENCE:
        try:
            answer = await ends.vectors.Search(_search(values))
        except grpc.aio.AioRpcError:
            # A late answer of the engine counts as not found.
            await asyncio.sleep(PAUSE)
            continue
        seen = time.perf_counter() - since
        if answer.candidates.product_ids[:1] == [product_id] and answer.similarities[0] > 0.9999:
            return seen
        await asyncio.sleep(PAUSE)
    return PATIENCE


async def _gauges(found: ConsistencyFigures, ends: ConsistencyPeers, since: float) -> None:
    await asyncio.sleep(since - time.perf_counter())
    while True:
        text = await asyncio.to_thread(_metrics, ends.metrics)
        found.gauges += [
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("sightline_index_lag_seconds{") and f'space="{SPACE}"' in line
        ]
        await asyncio.sleep(GAUGE_SECONDS)


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: bytes = answer.read()
    return text.decode()


async def _offers(found: ConsistencyFigures, ends: ConsistencyPeers) -> None:
    """Send batches of offers one after another, each for other products and at new prices."""
    for number in range(OFFER_BATCHES):
        first = number * OFFERS % COUNT
        offers = [
            gateway_pb.Offer(
                product_id=f"p{n}",
                price=money_pb2.Money(currency_code="EUR", units=n, nanos=10**7 * (number + 1)),
            )
            for n in range(first, first + OFFERS)
        ]
        request = gateway_pb.UpdateOffersRequest(offers=offers)
        begun = time.perf_counter()
        answer = await ends.products.UpdateOffers(request)
        found.offers_per_second.append(OFFERS / (time.perf_counter() - begun))
        if any(status.code for status in answer.statuses):
            raise OSError("the retriever refused an offer")


def result(done: Sequence[ConsistencyFigures]) -> BenchResult:
    """Return tables, figures and goals of the measurements."""
    table = BenchTable(
        title=f"{RATE} upserts a second with vectors, {COUNT:,} products",
        headers=(
            "engine",
            "index",
            "accepted a second",
            "ack p50 ms",
            "found p50 ms",
            "found p99 ms",
            "gauge max s",
            "late p99 ms",
            "offers a second",
        ),
        rows=tuple(_row(each) for each in done),
        caption=(
            f"Calls of {BATCH} products and of their {BATCH} vectors, sent on schedule. From its "
            f"acknowledgement on, one write in {LOOK_EVERY} is searched for every "
            f"{1e3 * PAUSE:.0f} ms, without a token. Gauge: the worker's "
            "sightline_index_lag_seconds. Late: delay of the bench's calls after their schedule. "
            f"Offers: calls of {OFFERS:,}, one at a time, while the worker indexes them."
        ),
    )
    return BenchResult(
        tables=(table,),
        figures={
            "products": COUNT,
            "dimension": DIMENSION,
            "rate": RATE,
            "engines": [_figures(each) for each in done],
        },
        goals=[goal for each in done for goal in _goals(each)],
        warnings=tuple(
            f"{each.engine}: the bench sent its calls up to {max(each.late):.1f} s late"
            for each in done
            if max(each.late) > 0.5
        ),
    )


def _row(found: ConsistencyFigures) -> tuple[str, ...]:
    return (
        found.engine,
        found.index,
        f"{found.upserts_per_second:.0f}",
        f"{1e3 * percentile(found.acknowledged, 0.5).value:.0f}",
        f"{1e3 * percentile(found.lags, 0.5).value:.0f}",
        f"{1e3 * percentile(found.lags, 0.99).value:.0f}",
        f"{max(found.gauges, default=float('nan')):.2f}",
        f"{1e3 * percentile(found.late, 0.99).value:.0f}",
        f"{percentile(found.offers_per_second, 0.5).value:,.0f}",
    )


def _figures(found: ConsistencyFigures) -> dict[str, object]:
    return {
        "engine": found.engine,
        "index": found.index,
        "upserts_per_second": found.upserts_per_second,
        "acknowledged_p50_seconds": percentile(found.acknowledged, 0.5).value,
        "acknowledged_p99_seconds": percentile(found.acknowledged, 0.99).value,
        "lag_p50_seconds": percentile(found.lags, 0.5).value,
        "lag_p99_seconds": percentile(found.lags, 0.99).value,
        "lags_seconds": found.lags,
        "gauge_seconds": found.gauges,
        "late_p99_seconds": percentile(found.late, 0.99).value,
        "offers_per_second": found.offers_per_second,
    }


def _goals(found: ConsistencyFigures) -> list[Goal]:
    where = f"{found.engine}, {found.index}"
    return [
        Goal(f"index lag, p99, {where}", MOST_LAG, "s", percentile(found.lags, 0.99)),
        Goal(
            f"offers a second, p50, {where}",
            None,
            "",
            percentile(found.offers_per_second, 0.5),
            LEAST_OFFERS,
        ),
    ]
