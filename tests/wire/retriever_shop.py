"""A retriever on real SQLite and a real Milvus Lite process, and calls that many of its tests make.

Server and worker run in this process, the embedder is a fake one behind real gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from google.type import money_pb2

from retriever.__main__ import bindings
from retriever.adapters.embedder import EmbedderClient
from retriever.adapters.milvus.index import MilvusIndex
from retriever.columns.column_cache import EXACT_ROWS
from retriever.record import Record
from retriever.record.tables import jobs
from retriever.search.recall.watchdog import Watchdog
from retriever.servicer import vectors
from retriever.servicer.filter_messages import unpacked
from retriever.settings import RetrieverSettings
from retriever.wiring import (
    backup_files,
    database,
    job_queue,
    known_catalogs,
    milvus_index,
    photo_store,
    watch,
)
from retriever.workers.context import Worker
from retriever.workers.leader_loops import lead_in_turn
from servicekit.catalogs.known import KnownCatalogs
from servicekit.rpc import server
from servicekit.rpc.server import Binding
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease, worker_id
from servicekit.sql.retention import forget_jobs
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import filter_pb2, product_pb2, vector_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.retriever.v1 import keyword_service_pb2 as keywords_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1.keyword_service_pb2_grpc import KeywordServiceStub
from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceStub
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from tests.engines import MilvusLite
from tests.fakes.embedder import FakeEmbedder, embedder_server
from tests.fakes.index import DIMENSION, VERSION, vector_of
from tests.fakes.photos import photo
from tests.peer_stubs import peer_stub
from tests.waiting import SECONDS, until

PRICE = money_pb2.Money(currency_code="EUR", units=12, nanos=500_000_000)


@dataclass
class Shop:
    """A running retriever and its callers' ends."""

    products: ProductServiceStub
    vectors: VectorServiceStub
    words: KeywordServiceStub
    photos: AdminServiceStub
    embedder: FakeEmbedder
    db: Database
    index: MilvusIndex
    record: Record
    settings: RetrieverSettings
    watchdog: Watchdog
    start_worker: Callable[[], None]
    stop_worker: Callable[[], Any]
    channel: grpc.aio.Channel
    target: str
    """The address behind `channel`."""
    offered: Sequence[Binding]
    catalogs: KnownCatalogs

    async def upsert(self, *items: product_pb2.Product) -> gateway_pb.UpsertProductsResponse:
        answer: gateway_pb.UpsertProductsResponse = await self.products.UpsertProducts(
            gateway_pb.UpsertProductsRequest(products=items), timeout=SECONDS
        )
        return answer

    async def search(self, seconds: float = SECONDS, **fields: Any) -> vectors_pb.SearchResponse:
        answer: vectors_pb.SearchResponse = await self.vectors.Search(
            vectors_pb.SearchRequest(**fields), timeout=seconds
        )
        return answer

    async def find(self, words: str, **fields: Any) -> vectors_pb.SearchResponse:
        answer: vectors_pb.SearchResponse = await self.words.SearchKeywords(
            keywords_pb.SearchKeywordsRequest(text=words, **fields), timeout=SECONDS
        )
        return answer

    async def seen(self, token: str, **fields: Any) -> vectors_pb.SearchResponse:
        """Return a search in the space of photos that waits for a write."""
        return await self.search(vector=vector(photo()), min_index_token=token, **fields)


by_the_engine = pytest.mark.parametrize("exact_rows", [0])
"""Mark of tests of the engine's content when a search sees a write."""
either_way = pytest.mark.parametrize("exact_rows", [0, EXACT_ROWS])


@pytest.fixture
def exact_rows() -> int:
    """Return the maximum rows of a generation that are compared in memory; 0: the engine
    answers."""
    return EXACT_ROWS


@pytest.fixture
async def shop(
    tmp_path: Path,
    record_url: str,
    shared_decoders: None,
    engine: MilvusLite,
    exact_rows: int,
) -> AsyncIterator[Shop]:
    if engine.process is None:
        engine.start()
    embedder = FakeEmbedder()
    embedding, embedder_port = embedder_server(embedder)
    await embedding.start()
    settings = RetrieverSettings(
        port=0,
        catalogs=("default", "other"),
        catalog_settle_seconds=1.0,
        database_url=record_url,
        photos_url=str(tmp_path / "photos"),
        backups=str(tmp_path / "backups"),
        milvus_uri=engine.uri,
        milvus_prefix=f"t{time.time_ns()}",
        embedder_target=f"127.0.0.1:{embedder_port}",
        image_max_bytes=100_000,
        image_max_pixels=1_000_000,
        worker_poll_seconds=0.02,
        worker_lease_seconds=5,
        exact_rows=exact_rows,
    )
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    record, backups = Record(db), backup_files(settings)
    client = EmbedderClient(settings.embedder_target)
    working: list[tuple[asyncio.Task[None], asyncio.Event]] = []

    def start_worker() -> None:
        lease = Lease(db, "index-writer", worker_id("test"), settings.worker_lease_seconds)
        stop = asyncio.Event()
        worker = Worker(
            catalogs,
            settings,
            record,
            photos,
            index,
            client,
            lease,
            job_queue(db),
            worker_id("test"),
            backups,
            unpacked,
            partial(forget_jobs, db, jobs, settings.job_days),
        )
        working.append((asyncio.create_task(lead_in_turn(worker, stop)), stop))

    async def stop_worker() -> None:
        while working:
            task, stop = working.pop()
            stop.set()
            await task

    catalogs = known_catalogs(settings, record)
    await catalogs.start()
    start_worker()
    for catalog in settings.catalogs:
        await until(lambda name=catalog: record.generation(name, "visual"))
    watchdog = watch(settings, record)
    offered = bindings(
        *(settings, record, photos, index, job_queue(db)),
        backups=backups,
        watchdog=watchdog,
        catalogs=catalogs,
    )
    running = await server.start(offered, settings, "retriever", catalogs=catalogs)
    target = f"127.0.0.1:{running.port}"
    async with grpc.aio.insecure_channel(target) as channel:
        yield Shop(
            peer_stub("retriever", channel, ProductServiceStub),
            VectorServiceStub(channel),
            KeywordServiceStub(channel),
            peer_stub("retriever", channel),
            embedder,
            db,
            index,
            record,
            settings,
            watchdog,
            start_worker,
            stop_worker,
            channel,
            target,
            offered,
            catalogs,
        )
    await watchdog.close()
    await stop_worker()
    await catalogs.stop()
    await running.stop()
    await embedding.stop(None)
    await client.close()
    await index.close()
    photos.close()
    backups.close()
    db.close()


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return waiting searches a second before their deadline, instead of 30 ms as in production, so
    that their answers arrive in time beside other tests."""
    monkeypatch.setattr(vectors, "RESERVE_SECONDS", 1.0)


def wine(product_id: str, *seeds: int, **fields: Any) -> product_pb2.Product:
    """Return a product with a photo for each seed; other fields may be overridden."""
    given: dict[str, Any] = {
        "title": f"Wine {product_id}",
        "brand": "Estate",
        "category_path": ["Wine", "Red"],
        "price": PRICE,
        "tags": ["organic"],
        "images": [product_pb2.ProductImage(content=photo(seed=seed)) for seed in seeds],
    }
    return product_pb2.Product(product_id=product_id, **(given | fields))


def vector(content: bytes, **fields: Any) -> vector_pb2.Vector:
    """Return the vector of a photo as the fake embedder computes it."""
    given: dict[str, Any] = {
        "space": "visual",
        "space_version": VERSION,
        "dimension": DIMENSION,
        "data": vector_of(content).astype("<f4").tobytes(),
    }
    return vector_pb2.Vector(**(given | fields))


def compare(
    field: str, value: filter_pb2.FilterValue, operator: str = "EQUAL"
) -> filter_pb2.Filter:
    number = filter_pb2.Comparison.Operator.Value(f"OPERATOR_{operator}")
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field=field, operator=number, value=value)
    )


def text(value: str) -> filter_pb2.FilterValue:
    return filter_pb2.FilterValue(text=value)


@contextlib.contextmanager
def refused(code: str, reason: str, field: str = "") -> Iterator[None]:
    """Expect that the call in the block is rejected with this reason and names this field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (code, reason), error.message
    if field:
        assert [v.field for v in error.violations] == [field]


def reason(status: status_pb2.Status) -> str:
    return from_status(status).reason if status.code else "OK"
