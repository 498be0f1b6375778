"""A service of cameras on real SQLite, over real gRPC, and worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from servicekit.rpc import server
from servicekit.rpc.server import Binding
from servicekit.sql.database import Database
from tests.peer_stubs import peer_stub
from tests.stores import Stores
from vision.__main__ import bindings
from vision.record import Record
from vision.settings import VisionServerSettings
from vision.wiring import MIGRATIONS, Parts, database, sales_counts

NOWHERE = "127.0.0.1:9"


@dataclass
class VisionShop:
    """A running vision, its callers' end, and worker processes."""

    stub: Any
    """Makes the public calls of vision."""
    channel: grpc.aio.Channel
    db: Database
    parts: Parts
    offered: Sequence[Binding]
    settings: VisionServerSettings
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Record:
        return self.parts.record

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Yield a worker process, killed at the end if it still runs."""
        command = (sys.executable, "-m", "vision.worker")
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | self.environment, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def seeing(
    stores: Stores,
    folder: Path,
    *,
    embedder: str = NOWHERE,
    retriever: str = NOWHERE,
    ranker: str = NOWHERE,
    **more: str,
) -> AsyncIterator[VisionShop]:
    """Run vision. `embedder`, `retriever`, `ranker`: their targets. `more`: further variables."""
    environment = {
        "VISION_CATALOGS": '["default","other"]',
        "VISION_DATABASE_URL": stores.sqlite(MIGRATIONS, folder / "vision.db"),
        "VISION_PHOTOS_URL": str(folder / "frames"),
        "VISION_BACKUPS": str(folder / "vision-backups"),
        "VISION_EMBEDDER_TARGET": embedder,
        "VISION_RETRIEVER_TARGET": retriever,
        "VISION_RANKER_TARGET": ranker,
        "VISION_IMAGE_MAX_BYTES": "100000",
        "VISION_IMAGE_MAX_PIXELS": "1000000",
        **more,
    }
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        settings = VisionServerSettings(port=0)
    finally:
        os.environ.clear()
        os.environ.update(before)
    db = database(settings)
    parts = Parts.of(settings, db)
    await parts.catalogs.start()
    sales = sales_counts(settings)
    offered = bindings(settings, db, parts, sales)
    running = await server.start(offered, settings, "vision", catalogs=parts.catalogs)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            yield VisionShop(
                *(peer_stub("vision", channel), channel, db, parts, offered, settings),
                environment=environment,
            )
    finally:
        await running.stop()
        await sales.close()
        await parts.close()
        db.close()
