"""Backups over real gRPC, SQLite and Milvus Lite; the worker is a process that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.type import money_pb2

from retriever.__main__ import bindings
from retriever.record import Record
from retriever.settings import RetrieverSettings
from retriever.wiring import backup_files, database, job_queue, milvus_index, photo_store
from servicekit.jobs.queue import Jobs
from servicekit.rpc import server
from servicekit.rpc.server import RunningServer
from servicekit.status import from_rpc_error
from sightline.common.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc, product_pb2
from sightline.common.v1.vector_pb2 import Vector
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.retriever.v1 import backup_service_pb2 as backups_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import (
    product_service_pb2_grpc,
    vector_service_pb2_grpc,
)
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1.rebuild_service_pb2 import RebuildIndexRequest
from tests.engines import MilvusLite, milvus_lite
from tests.fakes.embedder import FakeEmbedder, embedder_server
from tests.fakes.index import DIMENSION, VERSION, vector_of
from tests.fakes.photos import photo
from tests.peer_stubs import peer_stub
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

NUMBER = 150
ENDED = (job_pb2.Job.STATE_SUCCEEDED, job_pb2.Job.STATE_FAILED, job_pb2.Job.STATE_CANCELLED)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    with milvus_lite(tmp_path_factory.mktemp("engine") / "milvus") as running:
        yield running


@dataclass
class Shop:
    """A retriever's server, with its worker as a process of its own."""

    settings: RetrieverSettings
    environment: dict[str, str]
    products: product_service_pb2_grpc.ProductServiceStub
    vectors: vector_service_pb2_grpc.VectorServiceStub
    backups: AdminServiceStub
    rebuilds: AdminServiceStub
    jobs: job_service_pb2_grpc.JobServiceStub
    queue: Jobs
    workers: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start_worker(self) -> None:
        command = (sys.executable, "-m", "retriever.worker")
        self.workers.append(
            await asyncio.create_subprocess_exec(
                *command, env=os.environ | self.environment, stdout=asyncio.subprocess.DEVNULL
            )
        )

    async def kill_worker(self) -> None:
        process = self.workers.pop()
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def stock(self) -> None:
        """Write wines with a photo each, and wait until they are indexed."""
        for start in range(0, NUMBER, 50):
            request = gateway_pb.UpsertProductsRequest(
                products=[wine(n) for n in range(start, start + 50)]
            )
            token = (await self.products.UpsertProducts(request, timeout=SECONDS)).index_token
        await self.nearest(min_index_token=token)

    async def nearest(self, seconds: float = SECONDS, **fields: Any) -> dict[str, float]:
        """Return the similarities by product of a fixed search."""
        query = Vector(
            space="visual",
            space_version=VERSION,
            dimension=DIMENSION,
            data=vector_of(b"question").astype("<f4").tobytes(),
        )
        request = vectors_pb.SearchRequest(vector=query, top_k=100, **fields)
        found = await self.vectors.Search(request, timeout=seconds)
        return dict(zip(found.candidates.product_ids, found.similarities, strict=True))

    async def held(self, catalog: str = "default") -> list[product_pb2.Product]:
        request = products_pb.ListProductsRequest(catalog_id=catalog, page_size=1_000)
        answer = await self.products.ListProducts(request)
        return sorted(answer.products, key=lambda product: product.product_id)

    async def ended(self, job: job_pb2.Job, seconds: float = SECONDS) -> job_pb2.Job:
        until = time.monotonic() + seconds
        request = job_service_pb2.GetJobRequest(catalog_id=job.catalog_id, job_id=job.job_id)
        while (found := await self.jobs.GetJob(request)).state not in ENDED:
            assert time.monotonic() < until, f"does not end: {found}"
            await asyncio.sleep(0.05)
        assert isinstance(found, job_pb2.Job)
        return found

    async def attempts(self, job: job_pb2.Job) -> int:
        """Return the number of workers that claimed the job."""
        return (await self.queue.get(job.job_id.removeprefix("retriever/"))).attempts

    async def back_up(self) -> str:
        job = await self.ended(await self.backups.CreateBackup(backups_pb.CreateBackupRequest()))
        assert job.state == job_pb2.Job.STATE_SUCCEEDED, job
        return result(job, "backup_id")

    async def indexed(self, catalog: str, seconds: float = SECONDS) -> None:
        until = time.monotonic() + seconds
        request = vectors_pb.CountRequest(catalog_id=catalog)
        while True:
            count = await self.vectors.Count(request)
            if count.indexed == NUMBER and not count.pending and not count.outbox:
                return
            assert time.monotonic() < until, count
            await asyncio.sleep(0.05)


def result(job: job_pb2.Job, name: str) -> str:
    found = {item.name: item.value for item in job.results}
    assert name in found, job
    return found[name]


def wine(number: int) -> product_pb2.Product:
    return product_pb2.Product(
        product_id=f"wine-{number:03}",
        title=f"Wine {number}",
        category_path=["Wine", "Red"],
        price=money_pb2.Money(currency_code="EUR", units=number),
        images=[product_pb2.ProductImage(content=photo(seed=number, width=40 + number % 7))],
    )


def same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert list(found) == list(expected)
    assert np.allclose(list(found.values()), list(expected.values()), atol=1e-6, rtol=0)


@pytest.fixture
def lease() -> float:
    """Return the seconds after which a worker counts as dead: one that stands on a busy machine
    is none."""
    return SECONDS


@pytest.fixture
async def shop(
    tmp_path: Path, record_url: str, engine: MilvusLite, lease: float
) -> AsyncIterator[Shop]:
    if engine.process is None:
        engine.start()
    embedder = FakeEmbedder()
    embedding, port = embedder_server(embedder)
    await embedding.start()
    settings = RetrieverSettings(
        port=0,
        catalogs=("default", "other"),
        database_url=record_url,
        photos_url=str(tmp_path / "photos"),
        backups=str(tmp_path / "backups"),
        milvus_uri=engine.uri,
        milvus_prefix=f"t{time.time_ns()}",
    )
    environment = {
        "RETRIEVER_CATALOGS": '["default","other"]',
        "RETRIEVER_DATABASE_URL": settings.database_url.get_secret_value(),
        "RETRIEVER_PHOTOS_URL": settings.photos_url,
        "RETRIEVER_BACKUPS": settings.backups,
        "RETRIEVER_MILVUS_URI": settings.milvus_uri,
        "RETRIEVER_MILVUS_PREFIX": settings.milvus_prefix,
        "RETRIEVER_EMBEDDER_TARGET": f"127.0.0.1:{port}",
        "RETRIEVER_WORKER_LEASE_SECONDS": str(lease),
        "RETRIEVER_WORKER_POLL_SECONDS": "0.02",
    }
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    backups = backup_files(settings)
    offered = bindings(settings, Record(db), photos, index, job_queue(db), backups=backups)
    running: RunningServer = await server.start(offered, settings, "retriever")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        made = Shop(
            settings,
            environment,
            peer_stub("retriever", channel, product_service_pb2_grpc.ProductServiceStub),
            vector_service_pb2_grpc.VectorServiceStub(channel),
            peer_stub("retriever", channel),
            peer_stub("retriever", channel),
            job_service_pb2_grpc.JobServiceStub(channel),
            job_queue(db),
        )
        await made.start_worker()
        yield made
        while made.workers:
            await made.kill_worker()
    await running.stop()
    await embedding.stop(None)
    await index.close()
    for each in (photos, backups, db):
        each.close()


async def test_a_catalog_moves_and_answers_the_same(shop: Shop) -> None:
    await shop.stock()
    expected, products = await shop.nearest(), await shop.held()
    backup_id = await shop.back_up()
    (listed,) = (await shop.backups.ListBackups(backups_pb.ListBackupsRequest())).backups
    assert (listed.backup_id, listed.product_count, listed.status.code) == (backup_id, NUMBER, 0)
    assert listed.spaces[0].version == VERSION
    request = backups_pb.RestoreBackupRequest(
        catalog_id="other", backup_id=backup_id, source_catalog_id="default"
    )
    job = await shop.ended(await shop.backups.RestoreBackup(request))
    assert result(job, "product_count") == str(NUMBER)
    await shop.indexed("other")
    assert await shop.held("other") == products
    same(await shop.nearest(catalog_id="other"), expected)


async def test_refusals_name_their_field(shop: Shop) -> None:
    await shop.stock()
    backup_id = await shop.back_up()
    for fields, reason, name in (
        ({"backup_id": "../x"}, "BACKUP_NOT_FOUND", "backup_id"),
        ({"backup_id": backup_id, "catalog_id": "other"}, "BACKUP_NOT_FOUND", "backup_id"),
        ({"backup_id": backup_id}, "CATALOG_NOT_EMPTY", "force"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shop.backups.RestoreBackup(backups_pb.RestoreBackupRequest(**fields))
        error = from_rpc_error(caught.value)
        assert (error.reason, [v.field for v in error.violations]) == (reason, [name])


@pytest.mark.parametrize("lease", [3.0])
async def test_a_backup_survives_kill_9_of_its_worker(shop: Shop) -> None:
    await shop.stock()
    products = await shop.held()
    folder = Path(shop.settings.backups) / "default"
    names: set[str] = set()
    for _ in range(5):  # one may be done before its worker is killed
        job = await shop.backups.CreateBackup(backups_pb.CreateBackupRequest())
        for _ in range(2):
            await until(lambda: folder.exists() and len(list(folder.iterdir())) > len(names))
            await shop.kill_worker()
            assert len(list(folder.iterdir())) == len(names) + 1
            await shop.start_worker()
        ended = await shop.ended(job)
        assert ended.state == job_pb2.Job.STATE_SUCCEEDED
        names.add(result(ended, "backup_id"))
        assert {each.name for each in folder.iterdir()} == names
        if await shop.attempts(job) > 1:
            break
    else:
        pytest.fail("each was done before its worker was killed")
    await restored(shop, result(ended, "backup_id"), products)


@pytest.mark.parametrize("lease", [3.0])
async def test_a_restore_survives_kill_9_of_its_worker(shop: Shop) -> None:
    await shop.stock()
    products, expected = await shop.held(), await shop.nearest()
    photos, db = Path(shop.settings.photos_url) / "other", sqlite(shop.settings)
    stages = [
        lambda: db("SELECT count(*) FROM jobs WHERE kind = 'restore' AND state = 'RUNNING'") > 0,
        lambda: sum(len(files) for *_, files in os.walk(photos)) > NUMBER // 2,
        lambda: db("SELECT count(*) FROM vectors WHERE catalog_id = 'other'") > 0,
        lambda: db("SELECT count(*) FROM products WHERE catalog_id = 'other'") > 0,
    ]
    await restored(shop, await shop.back_up(), products, stages)
    await shop.indexed("other")
    same(await shop.nearest(catalog_id="other"), expected)


async def restored(
    shop: Shop,
    backup_id: str,
    products: list[product_pb2.Product],
    stages: Sequence[Callable[[], bool]] = (),
) -> None:
    """Restore into another catalog, and kill the worker at each stage that it reaches."""
    request = backups_pb.RestoreBackupRequest(
        catalog_id="other", backup_id=backup_id, source_catalog_id="default"
    )
    job = await shop.backups.RestoreBackup(request)
    for stage in stages:
        await until(stage)
        await shop.kill_worker()
        await shop.start_worker()
    ended = await shop.ended(job)
    assert ended.state == job_pb2.Job.STATE_SUCCEEDED, ended
    assert await shop.attempts(job) > min(1, len(stages))
    assert await shop.held("other") == products


@pytest.mark.parametrize("restarted", [True, False])
async def test_one_command_rebuilds_an_index_whose_data_was_deleted(
    shop: Shop, engine: MilvusLite, restarted: bool
) -> None:
    await shop.stock()
    expected = await shop.nearest()
    while engine.data.exists():  # the engine writes while its folder is deleted
        shutil.rmtree(engine.data, ignore_errors=True)
    if restarted:
        engine.kill()
        engine.start()
    request = RebuildIndexRequest(request_id="once")
    job = await shop.ended(await shop.rebuilds.RebuildIndex(request))
    assert job.state == job_pb2.Job.STATE_SUCCEEDED
    assert result(job, "generation_count") == "1"
    same(await shop.nearest(), expected)
    assert (await shop.rebuilds.RebuildIndex(request)).job_id == job.job_id


async def test_an_index_that_never_was_can_not_be_rebuilt(shop: Shop) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shop.rebuilds.RebuildIndex(RebuildIndexRequest(space="text"))
    assert from_rpc_error(caught.value).reason == "SPACE_UNAVAILABLE"


def sqlite(settings: RetrieverSettings) -> Callable[[str], int]:
    """Return a function that counts rows in the store directly."""
    file = settings.database_url.get_secret_value().removeprefix("sqlite:///")

    def count(query: str) -> int:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            return int(connection.execute(query).fetchone()[0])

    return count
