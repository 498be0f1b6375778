"""A retriever whose catalog is changed over real gRPC, on real SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.rpc import status_pb2
from google.type import money_pb2

from retriever.__main__ import bindings
from retriever.record import Record
from retriever.record.tables import products as products_table
from retriever.settings import RetrieverSettings
from retriever.wiring import backup_files, database, job_queue, milvus_index, photo_store
from servicekit.rpc import server
from servicekit.sql.database import Database
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import filter_pb2, import_pb2, job_pb2, job_service_pb2, product_pb2
from sightline.common.v1.job_service_pb2_grpc import JobServiceStub
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import product_service_pb2 as pb
from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceStub
from tests.fakes.photos import photo
from tests.peer_stubs import peer_stub
from tests.waiting import SECONDS

FULL = import_pb2.IMPORT_MODE_FULL
EUR = money_pb2.Money(currency_code="EUR", units=5)
EVERYTHING = filter_pb2.Filter(all=filter_pb2.FilterList())
ENDED = {job_pb2.Job.STATE_SUCCEEDED, job_pb2.Job.STATE_FAILED, job_pb2.Job.STATE_CANCELLED}


@dataclass
class Shop:
    """A running retriever, its callers' ends, and worker processes."""

    products: ProductServiceStub
    jobs: JobServiceStub
    db: Database
    settings: RetrieverSettings
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

    async def stock(self, number: int, catalog: str = "default") -> None:
        """Write products p0, p1, … directly into the store."""
        texts = ("parent_id", "description", "category", "language_code", "uri")
        row = {
            "catalog_id": catalog,
            "title": "A wine",
            "brand": "Estate",
            "availability": "IN_STOCK",
            "tags": "[]",
            "attributes": "[]",
            "create_time": 1,
            "update_time": 1,
            "etag": "e",
            "seq": 0,
            "touched": 0,
            **dict.fromkeys(texts, ""),
        }
        rows = [{**row, "product_id": f"p{n}"} for n in range(number)]
        await self.db.write(lambda c: c.execute(sa.insert(products_table), rows))

    async def held(self, catalog: str = "default") -> int:
        count = sa.select(sa.func.count()).select_from(products_table)
        query = count.where(products_table.c.catalog_id == catalog)
        return int(await self.db.read(lambda c: c.execute(query).scalar_one()))

    async def get(self, product_id: str) -> product_pb2.Product:
        answer = await self.products.BatchGetProducts(
            pb.BatchGetProductsRequest(product_ids=[product_id])
        )
        return answer.products[0]

    async def job(self, job_id: str) -> job_pb2.Job:
        job: job_pb2.Job = await self.jobs.GetJob(job_service_pb2.GetJobRequest(job_id=job_id))
        return job

    async def open(self, name: str, mode: int = 0) -> import_pb2.ImportState:
        state: import_pb2.ImportState = await self.products.OpenImport(
            gateway_pb.OpenImportRequest(import_id=name, mode=mode)
        )
        return state

    async def send(
        self, name: str, *rows: gateway_pb.ImportRow
    ) -> gateway_pb.ImportProductsResponse:
        answer: gateway_pb.ImportProductsResponse = await self.products.ImportProducts(
            gateway_pb.ImportProductsRequest(import_id=name, rows=rows), timeout=SECONDS
        )
        return answer

    async def close(self, name: str, **fields: Any) -> gateway_pb.CloseImportResponse:
        answer: gateway_pb.CloseImportResponse = await self.products.CloseImport(
            gateway_pb.CloseImportRequest(import_id=name, **fields)
        )
        return answer


@pytest.fixture
async def shop(tmp_path: Path, record_url: str) -> AsyncIterator[Shop]:
    settings = RetrieverSettings(
        port=0,
        catalogs=("default", "other"),
        database_url=record_url,
        photos_url=str(tmp_path / "photos"),
        backups=str(tmp_path / "backups"),
        milvus_uri="http://127.0.0.1:9",
        import_delete_share=0.5,
    )
    environment = {
        "RETRIEVER_CATALOGS": '["default","other"]',
        "RETRIEVER_DATABASE_URL": settings.database_url.get_secret_value(),
        "RETRIEVER_PHOTOS_URL": settings.photos_url,
        "RETRIEVER_BACKUPS": settings.backups,
        "RETRIEVER_MILVUS_URI": settings.milvus_uri,
        "RETRIEVER_EMBEDDER_TARGET": "127.0.0.1:9",
        "RETRIEVER_WORKER_LEASE_SECONDS": "5",
        "RETRIEVER_WORKER_POLL_SECONDS": "0.02",
    }
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    backups = backup_files(settings)
    offered = bindings(settings, Record(db), photos, index, job_queue(db), backups=backups)
    running = await server.start(offered, settings, "retriever")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        yield Shop(
            peer_stub("retriever", channel, ProductServiceStub),
            JobServiceStub(channel),
            db,
            settings,
            environment,
        )
    await running.stop()
    await index.close()
    photos.close()
    backups.close()
    db.close()


@contextlib.asynccontextmanager
async def serving(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[grpc.aio.Channel]:
    """Yield a channel to another server on a shop's record, with the settings of its workers."""
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    settings = RetrieverSettings(port=0)
    async with contextlib.AsyncExitStack() as stack:
        db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
        backups = backup_files(settings)
        for close in (db.close, photos.close, backups.close):
            stack.callback(close)
        stack.push_async_callback(index.close)
        offered = bindings(settings, Record(db), photos, index, job_queue(db), backups=backups)
        running = await server.start(offered, settings, "retriever")
        stack.push_async_callback(running.stop)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            yield channel


def wine(product_id: str, *seeds: int, **fields: Any) -> product_pb2.Product:
    given: dict[str, Any] = {
        "title": f"Wine {product_id}",
        "price": EUR,
        "images": [product_pb2.ProductImage(content=photo(seed=seed)) for seed in seeds],
    }
    return product_pb2.Product(product_id=product_id, **(given | fields))


def row(number: int, product_id: str, *seeds: int, **fields: Any) -> gateway_pb.ImportRow:
    return gateway_pb.ImportRow(row_number=number, product=wine(product_id, *seeds, **fields))


def brand(name: str) -> filter_pb2.Filter:
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(
            field="brand",
            operator=filter_pb2.Comparison.OPERATOR_EQUAL,
            value=filter_pb2.FilterValue(text=name),
        )
    )


@contextlib.contextmanager
def refused(code: str, reason: str, field: str = "") -> Iterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (code, reason), error.message
    if field:
        assert [v.field for v in error.violations] == [field]


def reported(status: status_pb2.Status) -> str:
    """Return OK, or the reason with the fields that it names."""
    if not status.code:
        return "OK"
    error = from_status(status)
    return " ".join([error.reason, *(item.field for item in error.violations)])
