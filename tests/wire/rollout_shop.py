"""A shop whose spaces are rolled out: gateway, retriever, its worker and the index."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from gateway.settings import GatewaySettings
from gateway.state import scenes
from gateway.state.scenes import SceneFiles
from gateway.wiring import build
from retriever.__main__ import bindings
from retriever.adapters.milvus.index import MilvusIndex
from retriever.record import Record
from retriever.settings import RetrieverSettings
from retriever.wiring import backup_files, database, job_queue, milvus_index, photo_store
from servicekit.keys.keyring import open_keys
from servicekit.rpc import server
from servicekit.status import from_rpc_error
from sightline.common.v1 import answer_pb2, job_pb2, job_service_pb2, product_pb2
from sightline.common.v1.job_service_pb2_grpc import JobServiceStub
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline.retriever.v1 import index_service_pb2 as index_pb
from tests.engines import MilvusLite, free_port
from tests.fakes.embedder import FakeEmbedder, embedder_server
from tests.fakes.index import DIMENSION, VERSION, vector_of
from tests.fakes.photos import photo
from tests.waiting import SECONDS, until

NEW = "v2"
DIMENSIONS = {VERSION: DIMENSION, NEW: 12}
TEXTS = {"t1": 6, "t2": 10}
"""Versions of the space of texts, and their dimensions."""
PHOTOS = [photo(seed=seed) for seed in range(120)]
ENDED = {job_pb2.Job.STATE_SUCCEEDED, job_pb2.Job.STATE_FAILED, job_pb2.Job.STATE_CANCELLED}
READY = index_pb.Generation.STATE_READY
SUCCEEDED = job_pb2.Job.STATE_SUCCEEDED


@dataclass
class Shop:
    """A running suite without ranker, and its operator's ends."""

    catalog: CatalogServiceStub
    recommendation: RecommendationServiceStub
    admin: AdminServiceStub
    jobs: JobServiceStub
    embedder: FakeEmbedder
    record: Record
    index: MilvusIndex
    environment: dict[str, str]

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Yield a worker process, killed at the end if it still runs."""
        command = (sys.executable, "-m", "retriever.worker")
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | self.environment, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def stock(self, *numbers: int, **fields: Any) -> None:
        """Write products p0, p1, …, each with a different photo."""
        products = [
            product_pb2.Product(
                product_id=f"p{n}",
                title=f"Wine {n}",
                brand=f"b{n % 6}",
                images=[product_pb2.ProductImage(content=PHOTOS[n])],
                **fields,
            )
            for n in numbers
        ]
        request = catalog_pb.UpsertProductsRequest(products=products)
        answer = await self.catalog.UpsertProducts(request, timeout=SECONDS)
        assert all(result.status.code == 0 for result in answer.results)

    async def settled(self) -> None:
        """Wait until every live generation is complete."""

        async def holds() -> bool:
            live = await self.record.generations("default")
            fresh = [await self.record.freshness(each) for each in live]
            return bool(live) and all(each.seq == each.head for each in fresh)

        await until(holds)

    async def create(self, name: str, version: str = NEW, space: str = "") -> index_pb.Generation:
        """Create a generation, once the worker has seen that the embedder serves its version."""
        request = index_pb.CreateGenerationRequest(name=name, space=space, space_version=version)
        made: list[index_pb.Generation] = []

        async def created() -> bool:
            try:
                made.append(await self.admin.CreateGeneration(request))
            except grpc.aio.AioRpcError as error:
                if from_rpc_error(error).reason != "SPACE_UNAVAILABLE":
                    raise
            return bool(made)

        await until(created)
        return made[0]

    async def backfill(self, name: str) -> str:
        request = index_pb.BackfillGenerationRequest(name=name)
        return str((await self.admin.BackfillGeneration(request)).job_id)

    async def verify(self, name: str) -> index_pb.Verification:
        job = await self.admin.VerifyGeneration(index_pb.VerifyGenerationRequest(name=name, k=10))
        ended = await self.ended(job.job_id)
        assert ended.state == job_pb2.Job.STATE_SUCCEEDED, ended
        return (await self.generation(name)).verification

    async def activate(self, name: str, **fields: Any) -> index_pb.Generation:
        made: index_pb.Generation = await self.admin.ActivateGeneration(
            index_pb.ActivateGenerationRequest(name=name, **fields)
        )
        return made

    async def rollback(self, space: str = "") -> index_pb.Generation:
        made: index_pb.Generation = await self.admin.RollbackGeneration(
            index_pb.RollbackGenerationRequest(space=space)
        )
        return made

    async def generation(self, name: str) -> index_pb.Generation:
        request = index_pb.ListGenerationsRequest(include_dropped=True)
        listed = (await self.admin.ListGenerations(request)).generations
        found: index_pb.Generation = next(each for each in listed if each.name == name)
        return found

    async def job(self, job_id: str) -> job_pb2.Job:
        found: job_pb2.Job = await self.jobs.GetJob(job_service_pb2.GetJobRequest(job_id=job_id))
        return found

    async def ended(self, job_id: str) -> job_pb2.Job:
        async def has_ended() -> bool:
            return (await self.job(job_id)).state in ENDED

        await until(has_ended)
        return await self.job(job_id)

    async def search(self, *numbers: int) -> pb.SearchResponse:
        return await self.ask(*(pb.QuerySignal(image=PHOTOS[n]) for n in numbers))

    async def ask(self, *signals: pb.QuerySignal) -> pb.SearchResponse:
        answer: pb.SearchResponse = await self.recommendation.Search(
            pb.SearchRequest(signals=signals, page_size=10), timeout=SECONDS
        )
        return answer

    async def read(self, text: str) -> tuple[str, float, str]:
        """Return the product nearest to a text, its similarity, and the version that answered."""
        answer = await self.ask(pb.QuerySignal(text=text))
        assert not answer.degradations, answer.degradations
        (space,) = answer.versions.spaces
        nearest = answer.results[0]
        return nearest.product.product_id, round(nearest.similarity, 4), str(space.version)


@pytest.fixture
def spaces() -> tuple[str, ...]:
    """Return the spaces that the retriever has the embedder fill."""
    return ("visual",)


@pytest.fixture
async def shop(
    tmp_path: Path,
    record_url: str,
    shared_decoders: None,
    engine: MilvusLite,
    spaces: tuple[str, ...],
) -> AsyncIterator[Shop]:
    embedder = FakeEmbedder(others={NEW: DIMENSIONS[NEW]}, texts=dict(TEXTS))
    embedding, embedder_port = embedder_server(embedder)
    await embedding.start()
    settings = RetrieverSettings(
        port=0,
        database_url=record_url,
        photos_url=str(tmp_path / "photos"),
        backups=str(tmp_path / "backups"),
        milvus_uri=engine.uri,
        milvus_prefix=f"t{time.time_ns()}",
        worker_lease_seconds=5,
        spaces=spaces,
    )
    environment = {
        "RETRIEVER_DATABASE_URL": settings.database_url.get_secret_value(),
        "RETRIEVER_PHOTOS_URL": settings.photos_url,
        "RETRIEVER_BACKUPS": settings.backups,
        "RETRIEVER_MILVUS_URI": settings.milvus_uri,
        "RETRIEVER_MILVUS_PREFIX": settings.milvus_prefix,
        "RETRIEVER_EMBEDDER_TARGET": f"127.0.0.1:{embedder_port}",
        "RETRIEVER_WORKER_LEASE_SECONDS": "5",
        "RETRIEVER_WORKER_POLL_SECONDS": "0.02",
        "RETRIEVER_WORKER_EMBED_BATCH": "4",
        "RETRIEVER_SPACES": ",".join(spaces),
    }
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    record, backups = Record(db), backup_files(settings)
    offered = bindings(settings, record, photos, index, job_queue(db), backups=backups)
    retriever = await server.start(offered, settings, "retriever")
    values = GatewaySettings(
        port=0,
        embedder_target=f"127.0.0.1:{embedder_port}",
        retriever_target=f"127.0.0.1:{retriever.port}",
        ranker_target=f"127.0.0.1:{free_port()}",
    )
    gateway = build(values, SceneFiles(scenes_that_refuse(tmp_path / "scenes")), open_keys)
    front = await server.start(gateway.bindings, values, "gateway")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.port}") as channel:
        yield Shop(
            CatalogServiceStub(channel),
            RecommendationServiceStub(channel),
            AdminServiceStub(channel),
            JobServiceStub(channel),
            embedder,
            record,
            index,
            environment,
        )
    await front.stop()
    await gateway.close(0.1)
    await retriever.stop()
    await embedding.stop(None)
    await index.close()
    photos.close()
    backups.close()
    db.close()


def scenes_that_refuse(folder: Path) -> Path:
    """Write the built-in scene with a threshold for matches."""
    folder.mkdir()
    text = (Path(scenes.__file__).parent / "default.toml").read_text()
    (folder / "default.toml").write_text(text.replace("refuse = 0.0\n", "refuse = 0.05\n"))
    return folder


@contextlib.contextmanager
def refused(reason: str) -> Iterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert from_rpc_error(caught.value).reason == reason


def similarity(asked: tuple[int, ...], place: int, version: str) -> float:
    """Return the similarity to photos that are combined in the space."""
    *signals, found = (vector_of(PHOTOS[n], DIMENSIONS[version], version) for n in (*asked, place))
    blend = np.sum(signals, axis=0)
    return float(blend @ found / np.linalg.norm(blend))


@dataclass
class Load:
    """Continuous searches and writes; any error of theirs fails the test."""

    shop: Shop
    searches: int = 0
    writes: int = 0
    seen: set[str] = field(default_factory=set)
    """Versions that answered."""

    async def search(self, number: int) -> None:
        while True:
            asked = (number, (number + 7) % 60)
            self.check(await self.shop.search(*asked), asked)
            self.searches += 1
            number = (number + 13) % 60

    def check(self, answer: pb.SearchResponse, asked: tuple[int, ...]) -> None:
        """Check that an answer is complete, and that every similarity is one of the version that it
        names."""
        assert not answer.degradations, answer.degradations
        (space,) = answer.versions.spaces
        assert isinstance(space, answer_pb2.SpaceVersion)
        self.seen.add(space.version)
        assert len(answer.results) == 10
        for result in answer.results:
            place = int(result.product.product_id.removeprefix("p"))
            exact = similarity(asked, place, space.version)
            assert result.similarity == pytest.approx(exact, abs=1e-4)

    async def write(self, first: int) -> None:
        for round_ in range(10**9):
            await self.shop.stock(first + round_ % 20, description=f"round {round_}")
            self.writes += 1
            await asyncio.sleep(0.02)


async def roll_out(shop: Shop, old: str, load: Load) -> None:
    made = await shop.create("lite2")
    assert (made.space_version, made.dimension, made.active) == (NEW, 12, False)
    job = await shop.ended(await shop.backfill("lite2"))
    assert job.state == job_pb2.Job.STATE_SUCCEEDED, job
    assert job.done == job.total >= 60
    found = await shop.verify("lite2")
    assert found.passed, found.findings
    assert (found.recall, found.filtered_recall) == (1.0, 1.0)
    for _ in range(5):
        assert (await shop.activate("lite2")).active
        await some_searches(load)
        assert (await shop.rollback()).name == old
        await some_searches(load)
    assert (await shop.activate("lite2")).forced is False
    assert (await shop.generation(old)).previous
    await some_searches(load)
    dropped = await shop.admin.DropGeneration(index_pb.DropGenerationRequest(name=old))
    assert dropped.state == index_pb.Generation.STATE_DROPPED
    with refused("ROLLBACK_UNAVAILABLE"):
        await shop.rollback()
    await some_searches(load)


async def some_searches(load: Load) -> None:
    before = load.searches

    async def enough() -> bool:
        return load.searches >= before + 8

    await until(enough)


async def begun(shop: Shop, job_id: str) -> bool:
    return (await shop.job(job_id)).done > 0 and (await shop.generation("two")).indexed_count > 0


def named(answer: pb.SearchResponse) -> set[str]:
    """Return the products of an answer, with those that collapsed into them."""
    kept = {each.product.product_id for each in answer.results}
    return kept.union(*(each.collapsed_product_ids for each in answer.results))
