"""A new version of a space is rolled out: gateway, retriever, its worker and a real Milvus Lite.

Gateway and retriever run in this process, the worker in one of its own that is killed; the embedder
is a fake one of two versions behind real gRPC. No ranker runs: searches don't need one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.type import money_pb2

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import build
from retriever.__main__ import bindings
from retriever.adapters.milvus.index import MilvusIndex
from retriever.domain.index_values import CollectionState
from retriever.record import Record
from retriever.settings import Settings
from retriever.wiring import backup_files, database, job_queue, milvus_index, photo_store
from retriever.workers.embedding import EMBED_CALLS
from servicekit import server
from servicekit.status import from_rpc_error
from sightline.common.v1 import answer_pb2, job_pb2, job_service_pb2, product_pb2
from sightline.common.v1.job_service_pb2_grpc import JobServiceStub
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline.retriever.v1 import index_service_pb2 as index_pb
from tests.engines import MilvusLite, free_port, milvus_lite
from tests.fakes.index import DIMENSION, VERSION, FakeEmbedder, embedder_server, vector_of
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


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    with milvus_lite(tmp_path_factory.mktemp("engine") / "milvus") as running:
        yield running


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
        """A worker process, killed at the end if it is still there."""
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
        """Products p0, p1, …, each with a photo of its own."""
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
        """Until every live generation holds everything."""

        async def holds() -> bool:
            live = await self.record.generations("default")
            fresh = [await self.record.freshness(each) for each in live]
            return bool(live) and all(each.seq == each.head for each in fresh)

        await until(holds)

    async def create(self, name: str, version: str = NEW, space: str = "") -> index_pb.Generation:
        """A generation, as soon as the worker has seen that the embedder serves its version."""
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
        """What is nearest to a text: the product, how near it is, the version that told."""
        answer = await self.ask(pb.QuerySignal(text=text))
        assert not answer.degradations, answer.degradations
        (space,) = answer.versions.spaces
        nearest = answer.results[0]
        return nearest.product.product_id, round(nearest.similarity, 4), str(space.version)


@pytest.fixture
def spaces() -> tuple[str, ...]:
    """Spaces that the retriever has the embedder fill."""
    return ("visual",)


@pytest.fixture
async def shop(tmp_path: Path, engine: MilvusLite, spaces: tuple[str, ...]) -> AsyncIterator[Shop]:
    embedder = FakeEmbedder(others={NEW: DIMENSIONS[NEW]}, texts=dict(TEXTS))
    embedding, embedder_port = embedder_server(embedder)
    await embedding.start()
    settings = Settings(
        port=0,
        database_url=f"sqlite:///{tmp_path / 'record.db'}",
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
    gateway = build(values, SceneFiles())
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


@contextlib.contextmanager
def refused(reason: str) -> Iterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert from_rpc_error(caught.value).reason == reason


def similarity(asked: tuple[int, ...], place: int, version: str) -> float:
    """To photos that are put together in the space."""
    *signals, found = (vector_of(PHOTOS[n], DIMENSIONS[version], version) for n in (*asked, place))
    blend = np.sum(signals, axis=0)
    return float(blend @ found / np.linalg.norm(blend))


# The whole of it, under load


@dataclass
class Load:
    """Searches and writes that go on all the while; any error of theirs fails the test."""

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
        """An answer is whole, and every similarity is one of the version that it names."""
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


async def test_a_roll_out_under_load_costs_no_request_and_mixes_nothing(shop: Shop) -> None:
    await shop.stock(*range(60))
    async with shop.worker():
        await shop.settled()
        old = (await shop.record.generations("default"))[0].name
        load = Load(shop)
        tasks = [asyncio.create_task(load.search(n)) for n in range(0, 60, 15)]
        tasks += [asyncio.create_task(load.write(first)) for first in (60, 80)]
        try:
            await roll_out(shop, old, load)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
    wrong = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
    assert not wrong, wrong
    assert load.seen == {VERSION, NEW}
    assert load.searches > 50
    assert load.writes > 20


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


# Backfills


async def test_a_backfill_survives_kill_9_and_embeds_nothing_twice(shop: Shop) -> None:
    await shop.stock(*range(60))
    async with shop.worker() as worker:
        await shop.settled()
        await shop.create("two")
        shop.embedder.seconds = 0.05
        job_id = await shop.backfill("two")
        assert await shop.backfill("two") == job_id

        async def begun() -> bool:
            return (await shop.job(job_id)).done > 10

        await until(begun)
        await shop.stock(60, 61)
        worker.send_signal(signal.SIGKILL)
    killed = await shop.job(job_id)
    assert killed.state == job_pb2.Job.STATE_RUNNING
    assert 10 < killed.done < 60
    assert killed.total == 60
    with refused("GENERATION_NOT_VERIFIED"):
        await shop.activate("two")
    async with shop.worker():
        ended = await shop.ended(job_id)
        assert ended.state == job_pb2.Job.STATE_SUCCEEDED, ended
        await shop.settled()
        anew = [data for version, data in shop.embedder.embedded if version == NEW]
        # At most the calls that were under way at the kill come twice, of 4 photos each.
        assert 62 <= len(anew) <= 62 + 4 * EMBED_CALLS
        assert (await shop.verify("two")).passed
    made = await shop.generation("two")
    assert (made.state, made.indexed_count, made.pending_count) == (READY, 62, 0)


async def test_a_cancelled_backfill_takes_its_waiting_photos_back(shop: Shop) -> None:
    await shop.stock(*range(60))
    async with shop.worker() as worker:
        await shop.settled()
        await shop.create("two")
        shop.embedder.seconds = 0.1
        first = await shop.backfill("two")
        await until(lambda: begun(shop, first))
        await shop.jobs.CancelJob(job_service_pb2.CancelJobRequest(job_id=first))
        assert (await shop.ended(first)).state == job_pb2.Job.STATE_CANCELLED
        made = await shop.generation("two")
        assert 0 < made.indexed_count < 60
        assert made.pending_count == 0
        second = await shop.backfill("two")
        assert second != first
        await until(lambda: begun(shop, second))
        worker.send_signal(signal.SIGKILL)
    # Nobody is on it: the next worker takes back what it left.
    await shop.jobs.CancelJob(job_service_pb2.CancelJobRequest(job_id=second))
    async with shop.worker():
        assert (await shop.ended(second)).state == job_pb2.Job.STATE_CANCELLED

        async def taken_back() -> bool:
            return (await shop.generation("two")).pending_count == 0

        await until(taken_back)
        await shop.settled()
        assert (await shop.generation("two")).indexed_count < 60
        shop.embedder.seconds = 0.0
        third = await shop.backfill("two")
        assert (await shop.ended(third)).state == job_pb2.Job.STATE_SUCCEEDED
        assert (await shop.generation("two")).indexed_count == 60


async def begun(shop: Shop, job_id: str) -> bool:
    return (await shop.job(job_id)).done > 0 and (await shop.generation("two")).indexed_count > 0


async def test_a_purge_does_not_wait_for_a_backfill_that_can_not_go_on(shop: Shop) -> None:
    await shop.stock(*range(6))
    async with shop.worker():
        await shop.settled()
        await shop.create("two")
        shop.embedder.others.clear()
        stuck = await shop.backfill("two")
        asked = catalog_pb.PurgeProductsRequest(force=True)
        asked.filter.all.SetInParent()
        purge = await shop.catalog.PurgeProducts(asked)
        assert (await shop.ended(purge.job.job_id)).state == job_pb2.Job.STATE_SUCCEEDED
        # Its photos are no product's any more, so there is nothing left to wait for.
        assert (await shop.job(stuck)).state in (
            job_pb2.Job.STATE_RUNNING,
            job_pb2.Job.STATE_SUCCEEDED,
        )


# What is refused, and what is cleared


def named(answer: pb.SearchResponse) -> set[str]:
    """The products of an answer, with those that are too like one of them to be shown."""
    kept = {each.product.product_id for each in answer.results}
    return kept.union(*(each.collapsed_product_ids for each in answer.results))


async def test_what_was_not_proved_takes_force_and_comes_back_in_one_call(shop: Shop) -> None:
    await shop.stock(*range(12))
    async with shop.worker():
        await shop.settled()
        await shop.create("two")
        with refused("GENERATION_EXISTS"):
            await shop.admin.CreateGeneration(index_pb.CreateGenerationRequest(name="two"))
        with refused("SPACE_UNAVAILABLE"):
            await shop.admin.CreateGeneration(index_pb.CreateGenerationRequest(space_version="v9"))
        with refused("INDEX_PARAMETERS_INVALID"):
            hnsw = index_pb.IndexParameters(kind=index_pb.IndexParameters.KIND_HNSW, m=1)
            await shop.admin.CreateGeneration(index_pb.CreateGenerationRequest(parameters=hnsw))
        with refused("GENERATION_NOT_FOUND"):
            await shop.backfill("nobody")
        with refused("GENERATION_NOT_VERIFIED"):
            await shop.activate("two")
        found = await shop.verify("two")
        assert not found.passed
        assert "backfill it" in found.findings[-1]
        with refused("GENERATION_NOT_VERIFIED"):
            await shop.activate("two")
        forced = await shop.activate("two", force=True)
        assert (forced.active, forced.forced) == (True, True)
        assert not (await shop.search(3)).results
        with refused("GENERATION_ACTIVE"):
            await shop.admin.DropGeneration(index_pb.DropGenerationRequest(name="two"))
        assert (await shop.rollback()).space_version == VERSION
        assert len(named(await shop.search(3))) == 12


async def test_a_dropped_generation_leaves_nothing(shop: Shop) -> None:
    await shop.stock(*range(12))
    async with shop.worker():
        await shop.settled()
        await shop.create("two")
        assert (await shop.ended(await shop.backfill("two"))).state == SUCCEEDED
        dropped = await shop.record.find_generation("default", "two")
        collection = dropped.collection
        assert await shop.index.count(collection) == 12
        await shop.admin.DropGeneration(index_pb.DropGenerationRequest(name="two"))

        async def gone() -> bool:
            return await shop.index.state(collection) is CollectionState.ABSENT and (
                await shop.record.row_count(dropped) == 0
            )

        await until(gone)
        assert len(named(await shop.search(3))) == 12


# Texts


@pytest.mark.parametrize("spaces", [("visual", "text")])
async def test_a_space_of_texts_is_filled_and_rolled_out_as_that_of_photos(shop: Shop) -> None:
    await shop.stock(*range(6))
    async with shop.worker():
        await shop.settled()
        first = next(each for each in await shop.record.generations("default") if each.of_texts)
        assert await shop.index.count(first.collection) == 6
        assert await shop.read("Wine 3. b3") == ("p3", 1.0, "t1")
        await only_a_changed_text_is_embedded_again(shop)
        await a_second_version_is_rolled_out_and_back(shop, first.name)
        await shop.catalog.DeleteProducts(catalog_pb.DeleteProductsRequest(product_ids=["p3"]))
        await shop.settled()
        assert await shop.index.count(first.collection) == 5


async def only_a_changed_text_is_embedded_again(shop: Shop) -> None:
    shop.embedder.embedded.clear()
    price = money_pb2.Money(currency_code="EUR", units=9)
    await shop.stock(2, 3, price=price)
    await shop.settled()
    assert shop.embedder.embedded == []
    await shop.stock(3, tags=["organic"])
    await shop.settled()
    assert shop.embedder.embedded == [("t1", "Wine 3. b3. organic")]
    assert await shop.read("Wine 3. b3. organic") == ("p3", 1.0, "t1")


async def a_second_version_is_rolled_out_and_back(shop: Shop, old: str) -> None:
    made = await shop.create("texts2", "t2", "text")
    assert (made.of_products, made.dimension, made.active) == (True, TEXTS["t2"], False)
    with refused("GENERATION_NOT_VERIFIED"):
        await shop.activate("texts2")
    job = await shop.ended(await shop.backfill("texts2"))
    assert (job.state, job.done, job.total) == (SUCCEEDED, 6, 6)
    made = await shop.generation("texts2")
    assert (made.state, made.indexed_count, made.pending_count) == (READY, 6, 0)
    found = await shop.verify("texts2")
    assert found.passed, found.findings
    assert (found.sample_count, found.record_count, found.recall) == (6, 6, 1.0)
    assert (await shop.activate("texts2")).active
    # Its version is not the embedder's default one: the gateway learns it and embeds again.
    assert await shop.read("Wine 3. b3. organic") == ("p3", 1.0, "t2")
    await shop.stock(4, description="no part of the text", tags=["new"])
    await shop.settled()
    assert await shop.read("Wine 4. b4. new") == ("p4", 1.0, "t2")
    assert (await shop.rollback("text")).name == old
    assert await shop.read("Wine 4. b4. new") == ("p4", 1.0, "t1")
