"""A worker on a real record, with engine and embedder in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from retriever.record import Record
from retriever.record.tables import jobs
from retriever.servicer.filter_messages import unpacked
from retriever.settings import RetrieverSettings
from retriever.wiring import job_queue
from retriever.workers.context import Worker
from retriever.workers.leader_loops import lead_in_turn
from servicekit.artefacts.backups import Backups
from servicekit.catalogs.known import KnownCatalogs
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease
from servicekit.sql.retention import forget_jobs
from sightline_rules.photos import image_id
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import FakeIndex
from tests.fakes.photo_store import FakePhotos
from tests.waiting import SECONDS

PHOTOS = [b"photo %d" % n for n in range(6)]


class Bench:
    """Worker with its dependencies."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.record = Record(db)
        self.catalogs: tuple[str, ...] = ("default",)
        self.index, self.embedder = FakeIndex(), FakeEmbedder()
        self.photos = FakePhotos(
            {(name, image_id(data)): data for data in PHOTOS for name in ("default", "bad")}
        )
        self.backups = Backups("memory://backups", "retriever")
        self.settings = RetrieverSettings(
            worker_poll_seconds=0.01, worker_lease_seconds=5, worker_flush_seconds=0.1
        )

    def worker(self, owner: str) -> Worker:
        seconds = self.settings.worker_lease_seconds
        leadership = Lease(self.db, "index-writer", owner, seconds)
        return Worker(
            KnownCatalogs(self.catalogs),
            self.settings,
            self.record,
            self.photos,
            self.index,
            self.embedder,
            leadership,
            job_queue(self.db),
            owner,
            self.backups,
            unpacked,
            partial(forget_jobs, self.db, jobs, self.settings.job_days),
        )

    @asynccontextmanager
    async def working(self, owner: str = "one") -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(lead_in_turn(self.worker(owner), stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, SECONDS)

    def rows(self) -> set[str]:
        return {row.product_id for held in self.index.rows.values() for row in held.values()}


@pytest.fixture
def bench(db: Database) -> Bench:
    return Bench(db)


async def applied(bench: Bench) -> bool:
    """Return whether the first generation has all writes, and the record says so."""
    (made,) = await bench.record.generations("default")
    return not await bench.record.changes(made, 1)
