"""A shop whose models are published: ranker, retriever, their workers and the index."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clients.embedder import EmbedderClient
from gateway.clients.matches import MatchMessages
from gateway.clients.peer_calls import PeerCaller
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient
from gateway.model.causes import Peer
from gateway.model.query import RequestQuery
from gateway.recommend.begin import begin
from gateway.retrieval.branches import find
from gateway.state.answers import AnswerQueue
from gateway.state.request_context import PeerClients, RequestDependencies
from gateway.state.scenes import SceneFiles
from ranker.adapters.model_store import ModelStore
from ranker.domain.arrays import Floats
from ranker.domain.model import Model
from ranker.learning.publish import PUBLISH
from ranker.record.models import ModelRegistry
from ranker.record.tables import JOBS, MIGRATIONS
from ranker.serving.models.live import LiveModels
from ranker.serving.vectors import query_vector
from ranker.settings import RankerSettings
from ranker.wiring.server import bindings as ranker_bindings
from ranker.wiring.server import open_key
from retriever.__main__ import bindings as retriever_bindings
from retriever.record import Record
from retriever.settings import RetrieverSettings
from retriever.wiring import backup_files, database, job_queue, milvus_index, photo_store
from servicekit.catalogs.known import KnownCatalogs
from servicekit.jobs.queue import Job, Jobs, JobState
from servicekit.rpc import server
from servicekit.sql.database import Database
from sightline.common.v1 import event_pb2, product_pb2, vector_pb2
from sightline.gateway.v1 import catalog_service_pb2, user_event_service_pb2
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.ranker.v1 import model_service_pb2 as model_pb
from sightline.ranker.v1.event_service_pb2_grpc import EventServiceStub
from sightline.retriever.v1 import index_service_pb2 as index_pb
from sightline.retriever.v1 import vector_service_pb2 as vector_pb
from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceStub
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from sightline_core.branch import Branch
from sightline_core.ranking import NominateRequest
from sightline_core.shoppers import Identity, Shopper
from tests.engines import MilvusLite, free_port
from tests.fakes.ranker import model, record
from tests.peer_stubs import peer_stub
from tests.stores import NewStore
from tests.waiting import until

COUNT = 2_500
"""Number of products, more than two batches."""
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


@dataclass
class Shop:
    """A running ranker and retriever, and ends to see and move them by."""

    models: AdminServiceStub
    index: AdminServiceStub
    vectors: VectorServiceStub
    products: ProductServiceStub
    record: Record
    jobs: Jobs
    deps: RequestDependencies
    events: EventServiceStub
    environment: dict[str, str]

    @contextlib.asynccontextmanager
    async def worker(self, service: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Yield a worker process, killed at the end if it still runs."""
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
            request = catalog_service_pb2.UpsertProductsRequest(
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
        """Return the `number`th job, which publishes this version, once it has ended."""

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
        """Return the active version, and the one that a rollback would activate."""
        known = await self.generations()
        (active,) = [one.space_version for one in known if one.active]
        return active, next((one.space_version for one in known if one.previous), "")

    async def visit(self) -> str:
        """View three products, and hide the best of the others. Return the shopper's id."""
        await self._append(*((event_pb2.EVENT_TYPE_VIEW, item) for item in PRODUCTS[:3]))
        hidden = next(item for item in await self.generated() if item not in PRODUCTS[:3])
        await self._append((event_pb2.EVENT_TYPE_HIDE, hidden))
        return hidden

    async def _append(self, *acts: tuple[event_pb2.EventType.ValueType, str]) -> None:
        answer = await self.events.WriteEvents(
            user_event_service_pb2.WriteEventsRequest(
                events=[
                    event_pb2.Event(
                        event_id=f"{kind} {item}",
                        shopper=event_pb2.Shopper(visitor_id=SHOPPER.id),
                        type=kind,
                        product_id=item,
                        event_time=Timestamp(seconds=int(time.time())),
                    )
                    for kind, item in acts
                ]
            )
        )
        assert all(status.code == 0 for status in answer.statuses)

    async def fitting(self) -> list[str]:
        """Return the gateway's candidates for a shopper from the index, best first."""
        listings = await find(begin(RequestQuery(shopper=SHOPPER), self.deps))
        (listing,) = listings
        assert listing.branch is Branch.COLLABORATIVE
        return list(listing.columns.product_ids)

    async def generated(self) -> list[str]:
        """Return the serving model's own candidates."""
        order = NominateRequest("default", SHOPPER, "", top_k=200)
        candidates = await self.deps.peers.ranker.generate(order)
        return list(candidates.product_ids)

    async def search(self, version: str, **fields: object) -> dict[str, float]:
        """Return the products that a model finds best for a shopper, with their scores."""
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
    """Return the model's own scores."""
    found = MODELS[version]
    scores: Floats = found.item_vectors @ QUERY + found.item_biases
    kept = {item: float(scores[row]) for item, row in found.item_rows.items() if among(item)}
    return dict(sorted(kept.items(), key=lambda pair: -pair[1])[:20])


def deps(to_retriever: grpc.aio.Channel, to_ranker: grpc.aio.Channel) -> RequestDependencies:
    """Return the dependencies of a gateway that needs no embedder."""
    ranker = RankerClient(to_ranker, PeerCaller(Peer.RANKER, reserve=0.1, longest=10))
    retriever = RetrieverClient(to_retriever, PeerCaller(Peer.RETRIEVER, reserve=0.1, longest=10))
    embedder = EmbedderClient(to_retriever, PeerCaller(Peer.EMBEDDER, reserve=0.1, longest=10))
    return RequestDependencies(
        peers=PeerClients(embedder, retriever, ranker),
        scenes=SceneFiles(),
        answers=AnswerQueue(ranker, 0),
        matches=MatchMessages(),
        catalogs=KnownCatalogs(("default",)),
        service_version="0",
        default_seconds=10.0,
    )


Stack = contextlib.AsyncExitStack


async def start_retriever(
    folder: Path, new_store: NewStore, engine: MilvusLite, stack: Stack
) -> tuple[Record, int, dict[str, str]]:
    """Run a retriever until the stack ends. Return its record, its port and its worker's
    environment."""
    settings = RetrieverSettings(
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
    """Run a ranker with two models until the stack ends. Return its record and its worker's
    environment."""
    settings = RankerSettings(
        port=0,
        database_url=new_store(MIGRATIONS, "ranker.db"),
        model_store=str(folder / "models"),
        key_file=folder / "key",
        create_key=True,
        catalogs=("default", "other"),
        nominate_in_memory_items=0,
    )
    url = settings.database_url.get_secret_value()
    db = Database(url, migrations=MIGRATIONS)
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
            "RANKER_DATABASE_URL": url,
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
            peer_stub("ranker", to_ranker),
            peer_stub("retriever", to_retriever),
            VectorServiceStub(to_retriever),
            peer_stub("retriever", to_retriever, ProductServiceStub),
            held,
            Jobs(db, JOBS),
            deps(to_retriever, to_ranker),
            peer_stub("ranker", to_ranker, EventServiceStub),
            for_retriever | for_ranker | target,
        )
