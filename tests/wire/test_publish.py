"""A model is published: ranker, retriever, their workers and a real Milvus Lite.

Both servers run in this process, the workers in processes of their own, of which the ranker's is
killed. No embedder runs: the space's vectors are the ranker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clients.calls import Caller
from gateway.clients.embedder import EmbedderClient
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient
from gateway.model.branch import Branch
from gateway.model.causes import Peer
from gateway.model.query import Identity, Query, Shopper
from gateway.recommend.recommend import begin
from gateway.retrieval.branches import find
from gateway.state.answers import AnswerQueue
from gateway.state.run import Dependencies, Peers
from gateway.state.scenes import SceneFiles
from ranker.__main__ import bindings as ranker_bindings
from ranker.__main__ import open_key
from ranker.adapters.model_store import ModelStore
from ranker.domain.arrays import Floats
from ranker.domain.model import Model
from ranker.models.live import LiveModels
from ranker.models.publish import PUBLISH, query_vector
from ranker.record.models import ModelRegistry
from ranker.record.tables import JOBS, MIGRATIONS
from ranker.settings import RankerSettings
from retriever.__main__ import bindings as retriever_bindings
from retriever.record import Record
from retriever.settings import Settings
from retriever.wiring import backup_files, database, job_queue, milvus_index, photo_store
from servicekit import server
from servicekit.jobs import Job, Jobs, JobState
from servicekit.sql import Database
from servicekit.status import from_rpc_error
from sightline.common.v1 import event_pb2, filter_pb2, product_pb2, vector_pb2
from sightline.ranker.v1 import event_service_pb2
from sightline.ranker.v1 import model_service_pb2 as model_pb
from sightline.ranker.v1.event_service_pb2_grpc import EventServiceStub
from sightline.ranker.v1.model_service_pb2_grpc import ModelServiceStub
from sightline.retriever.v1 import index_service_pb2 as index_pb
from sightline.retriever.v1 import product_service_pb2 as product_service_pb
from sightline.retriever.v1 import vector_service_pb2 as vector_pb
from sightline.retriever.v1.index_service_pb2_grpc import IndexServiceStub
from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceStub
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from tests.engines import MilvusLite, free_port, milvus_lite
from tests.fakes.ranker import model, record
from tests.stores import NewStore, only_sqlite
from tests.waiting import until

COUNT = 2_500
"""More than two batches."""
DIMENSION = 8
PRODUCTS = [f"p{n:04}" for n in range(COUNT)]
DONE = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def trained(version: str, seed: int) -> Model:
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(COUNT, DIMENSION))
    biases = dict(zip(PRODUCTS, draw.normal(size=COUNT), strict=True))
    return model(dict(zip(PRODUCTS, vectors, strict=True)), biases=biases, version=version)


MODELS = {name: trained(name, seed) for seed, name in enumerate(["lfm-one", "lfm-two"])}
SHOPPER = Shopper(Identity.VISITOR, "v")
QUERY = np.random.default_rng(9).normal(size=DIMENSION).astype(np.float32)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    with milvus_lite(tmp_path_factory.mktemp("engine") / "milvus") as running:
        yield running


@dataclass
class Shop:
    """A running ranker and retriever, and ends to see and move them by."""

    models: ModelServiceStub
    index: IndexServiceStub
    vectors: VectorServiceStub
    products: ProductServiceStub
    record: Record
    jobs: Jobs
    deps: Dependencies
    events: EventServiceStub
    environment: dict[str, str]

    @contextlib.asynccontextmanager
    async def worker(self, service: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A worker process, killed at the end if it is still there."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"{service}.worker"),
            env=os.environ | self.environment,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def stock(self) -> None:
        for start in range(0, COUNT, 100):
            request = product_service_pb.UpsertProductsRequest(
                products=[
                    product_pb2.Product(product_id=item, title="A wine", brand=f"b{item[-1]}")
                    for item in PRODUCTS[start : start + 100]
                ]
            )
            answer = await self.products.UpsertProducts(request)
            assert all(result.status.code == 0 for result in answer.results)

    async def promote(self, version: str) -> None:
        await self.models.PromoteModel(
            model_pb.PromoteModelRequest(model_version=version, force=True)
        )

    async def newest(self) -> Job | None:
        found = await self.jobs.list(kinds=(PUBLISH,), limit=1)
        return found[0] if found else None

    async def published(self, version: str, number: int) -> Job:
        """The job that is the `number`th, once it has ended; it is of this version."""

        async def ended() -> bool:
            found = await self.jobs.list(kinds=(PUBLISH,))
            return len(found) == number and found[0].state in DONE

        await until(ended, 180)
        job = await self.newest()
        assert job is not None
        assert job.params["model_version"] == version
        return job

    async def generations(self, catalog: str = "") -> list[index_pb.Generation]:
        request = index_pb.ListGenerationsRequest(catalog_id=catalog, space="collaborative")
        return list((await self.index.ListGenerations(request)).generations)

    async def active(self) -> tuple[str, str]:
        """The versions that are active, and that a rollback would make so."""
        known = await self.generations()
        (active,) = [one.space_version for one in known if one.active]
        return active, next((one.space_version for one in known if one.previous), "")

    async def visit(self) -> str:
        """The shopper looks at three products and hides the best of the rest; its id."""
        await self._append(*((event_pb2.EVENT_TYPE_VIEW, item) for item in PRODUCTS[:3]))
        hidden = next(item for item in await self.nominees() if item not in PRODUCTS[:3])
        await self._append((event_pb2.EVENT_TYPE_HIDE, hidden))
        return hidden

    async def _append(self, *told: tuple[event_pb2.EventType.ValueType, str]) -> None:
        answer = await self.events.AppendEvents(
            event_service_pb2.AppendEventsRequest(
                events=[
                    event_pb2.Event(
                        event_id=f"{kind} {item}",
                        shopper=event_pb2.Shopper(visitor_id=SHOPPER.id),
                        type=kind,
                        product_id=item,
                        event_time=Timestamp(seconds=int(time.time())),
                    )
                    for kind, item in told
                ]
            )
        )
        assert all(status.code == 0 for status in answer.statuses)

    async def fitting(self) -> list[str]:
        """What the gateway finds for a shopper in the index, best first."""
        listings = await find(begin(Query(shopper=SHOPPER), self.deps))
        (listing,) = listings
        assert listing.branch is Branch.COLLABORATIVE
        return list(listing.columns.product_ids)

    async def nominees(self) -> list[str]:
        """What the serving model itself names."""
        nominees = await self.deps.peers.ranker.generate(
            "default", SHOPPER, "", top_k=200, exclude=()
        )
        return list(nominees.product_ids)

    async def search(self, version: str, **fields: object) -> dict[str, float]:
        """The products best for a shopper by a model, with their scores."""
        vector = query_vector(QUERY)
        answer = await self.vectors.Search(
            vector_pb.SearchRequest(
                vector=vector_pb2.Vector(
                    space="collaborative",
                    space_version=version,
                    dimension=len(vector),
                    data=vector.astype("<f4").tobytes(),
                ),
                top_k=20,
                **fields,  # type: ignore[arg-type]
            )
        )
        assert answer.space.version == version
        ids = answer.candidates.product_ids
        return dict(zip(ids, answer.similarities, strict=True))


def best(version: str, among: Callable[[str], bool] = lambda _: True) -> dict[str, float]:
    """What the model itself says."""
    found = MODELS[version]
    scores: Floats = found.item_vectors @ QUERY + found.item_biases
    kept = {item: float(scores[row]) for item, row in found.item_rows.items() if among(item)}
    return dict(sorted(kept.items(), key=lambda pair: -pair[1])[:20])


def deps(to_retriever: grpc.aio.Channel, to_ranker: grpc.aio.Channel) -> Dependencies:
    """A gateway's, that needs no embedder."""
    ranker = RankerClient(to_ranker, Caller(Peer.RANKER, reserve=0.1, longest=10))
    retriever = RetrieverClient(to_retriever, Caller(Peer.RETRIEVER, reserve=0.1, longest=10))
    embedder = EmbedderClient(to_retriever, Caller(Peer.EMBEDDER, reserve=0.1, longest=10))
    return Dependencies(
        peers=Peers(embedder, retriever, ranker),
        scenes=SceneFiles(),
        answers=AnswerQueue(ranker, 0),
        catalogs=frozenset({"default"}),
        service_version="0",
        default_seconds=10.0,
    )


Stack = contextlib.AsyncExitStack


async def start_retriever(
    folder: Path, new_store: NewStore, engine: MilvusLite, stack: Stack
) -> tuple[Record, int, dict[str, str]]:
    """A retriever until the stack ends: its record, its port and its worker's environment."""
    settings = Settings(
        port=0,
        database_url=new_store("retriever.record.migrations", "record.db"),
        photos_url=str(folder / "photos"),
        backups=str(folder / "backups"),
        milvus_uri=engine.uri,
        milvus_prefix=f"t{time.time_ns()}",
        catalogs=("default", "other"),
    )
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    record, backups = Record(db), backup_files(settings)
    offered = retriever_bindings(settings, record, photos, index, job_queue(db), backups=backups)
    running = await server.start(offered, settings, "retriever")
    stack.callback(db.close)
    stack.callback(photos.close)
    stack.callback(backups.close)
    stack.push_async_callback(index.close)
    stack.push_async_callback(running.stop)
    return (
        record,
        running.port,
        {
            "RETRIEVER_DATABASE_URL": settings.database_url.get_secret_value(),
            "RETRIEVER_PHOTOS_URL": settings.photos_url,
            "RETRIEVER_BACKUPS": settings.backups,
            "RETRIEVER_MILVUS_URI": settings.milvus_uri,
            "RETRIEVER_MILVUS_PREFIX": settings.milvus_prefix,
            "RETRIEVER_CATALOGS": "default,other",
            "RETRIEVER_EMBEDDER_TARGET": f"127.0.0.1:{free_port()}",
            "RETRIEVER_WORKER_POLL_SECONDS": "0.02",
        },
    )


async def start_ranker(
    folder: Path, new_store: NewStore, stack: Stack
) -> tuple[Database, int, dict[str, str]]:
    """A ranker with two models until the stack ends; its worker's environment too."""
    settings = RankerSettings(
        port=0,
        database_url=new_store(MIGRATIONS, "ranker.db"),
        model_store=str(folder / "models"),
        key_file=folder / "key",
        create_key=True,
        catalogs=("default", "other"),
        nominate_in_memory_items=0,
    )
    db = Database(settings.database_url, migrations=MIGRATIONS)
    store, registry = ModelStore(settings.model_store), ModelRegistry(db)
    for name, made in MODELS.items():
        digest = store.write("default", made, {})
        await registry.add(replace(record(name), manifest_sha256=digest))
    live = LiveModels(settings.catalogs, registry, store.read, in_memory_items=0)
    await live.start()
    offered = ranker_bindings(settings, db, await open_key(db, settings), live, store)
    running = await server.start(offered, settings, "ranker")
    stack.callback(db.close)
    stack.push_async_callback(live.stop)
    stack.push_async_callback(running.stop)
    return (
        db,
        running.port,
        {
            "RANKER_DATABASE_URL": settings.database_url,
            "RANKER_MODEL_STORE": settings.model_store,
            "RANKER_CATALOGS": "default,other",
            "RANKER_PUBLISH": "true",
            "RANKER_LEASE_SECONDS": "5",
            "RANKER_POLL_SECONDS": "0.05",
        },
    )


@pytest.fixture
async def shop(tmp_path: Path, new_store: NewStore, engine: MilvusLite) -> AsyncIterator[Shop]:
    async with Stack() as stack:
        held, retriever_port, for_retriever = await start_retriever(
            tmp_path, new_store, engine, stack
        )
        db, ranker_port, for_ranker = await start_ranker(tmp_path, new_store, stack)
        to_retriever, to_ranker = [
            await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            for port in (retriever_port, ranker_port)
        ]
        target = {"RANKER_RETRIEVER_TARGET": f"127.0.0.1:{retriever_port}"}
        yield Shop(
            ModelServiceStub(to_ranker),
            IndexServiceStub(to_retriever),
            VectorServiceStub(to_retriever),
            ProductServiceStub(to_retriever),
            held,
            Jobs(db, JOBS),
            deps(to_retriever, to_ranker),
            EventServiceStub(to_ranker),
            for_retriever | for_ranker | target,
        )


@only_sqlite  # the record is as sure to be asked on PostgreSQL; this takes a quarter of a minute
async def test_promotions_and_rollbacks_are_followed_by_the_index(shop: Shop) -> None:
    async with shop.worker("retriever"), shop.worker("ranker"):
        await shop.stock()
        await shop.promote("lfm-one")
        hidden = await shop.visit()
        named = await shop.nominees()
        assert len(named) == 200
        assert hidden not in named
        job = await shop.published("lfm-one", 1)
        assert (job.state, job.done, job.total) == (JobState.SUCCEEDED, COUNT, COUNT), job
        assert job.result["active"] == "true"
        (made,) = await shop.generations()
        assert (made.of_products, made.metric, made.dimension) == (True, index_pb.METRIC_IP, 9)
        assert (made.indexed_count, made.pending_count, made.forced) == (COUNT, 0, False)
        assert made.verification.passed
        assert made.verification.index_count == COUNT
        assert await shop.search("lfm-one") == pytest.approx(best("lfm-one"), abs=1e-4)
        brand = filter_pb2.Filter(
            comparison=filter_pb2.Comparison(
                field="brand",
                operator=filter_pb2.Comparison.OPERATOR_EQUAL,
                value=filter_pb2.FilterValue(text="b3"),
            )
        )
        third = best("lfm-one", lambda item: item.endswith("3"))
        assert await shop.search("lfm-one", filter=brand) == pytest.approx(third, abs=1e-4)
        indexed = await shop.fitting()
        assert indexed == named[: len(indexed)]
        assert hidden not in indexed

        await shop.promote("lfm-two")
        # Its products are not in the index yet: the model before it is asked with.
        assert await shop.fitting() == indexed
        assert (await shop.active())[0] == "lfm-one"
        await shop.published("lfm-two", 2)
        assert await shop.active() == ("lfm-two", "lfm-one")
        assert await shop.search("lfm-two") == pytest.approx(best("lfm-two"), abs=1e-4)
        renamed = await shop.nominees()
        assert renamed != named
        assert await shop.fitting() == renamed[: len(indexed)]
        # A replica that still serves the model before names that one's generation.
        former = await shop.search("lfm-one", generation=made.name)
        assert former == pytest.approx(best("lfm-one"), abs=1e-4)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shop.search("lfm-one")
        assert from_rpc_error(caught.value).reason == "INDEX_VERSION_MISMATCH"

        await shop.models.RollbackModel(model_pb.RollbackModelRequest())
        job = await shop.published("lfm-one", 3)
        assert job.result["generation"] == made.name
        assert await shop.active() == ("lfm-one", "lfm-two")
        assert await shop.fitting() == indexed
        assert await shop.generations("other") == []


async def test_a_publication_whose_worker_is_killed_goes_on(shop: Shop) -> None:
    await shop.stock()
    async with shop.worker("retriever"):
        async with shop.worker("ranker") as worker:
            await shop.promote("lfm-one")

            async def writes() -> bool:
                job = await shop.newest()
                return job is not None and job.done > 0

            await until(writes)
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        left = await shop.newest()
        assert left is not None
        assert left.state is JobState.RUNNING
        async with shop.worker("ranker"):
            job = await shop.published("lfm-one", 1)
            assert (job.id, job.state) == (left.id, JobState.SUCCEEDED), job
            assert job.attempts == 2
        (made,) = await shop.generations()
        assert (made.active, made.indexed_count) == (True, COUNT)
        assert await shop.search("lfm-one") == pytest.approx(best("lfm-one"), abs=1e-4)

        first = next(iter(best("lfm-one")))
        await shop.products.DeleteProducts(
            product_service_pb.DeleteProductsRequest(product_ids=[first])
        )
        rest = best("lfm-one", lambda item: item != first)
        assert await shop.search("lfm-one") == pytest.approx(rest, abs=1e-4)
