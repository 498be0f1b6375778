"""The time at which a server reports ready."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from retriever import __main__ as retriever
from retriever.settings import RetrieverSettings
from servicekit.rpc import channel
from tests.engines import free_port
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow
READY = health_pb2.HealthCheckRequest(service="sightline.retriever.v1.ProductService")


@pytest.mark.full
@pytest.mark.parametrize("forever", [False, True])
async def test_it_is_ready_once_its_columns_are_in_memory_or_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, forever: bool
) -> None:
    began, warm = time.monotonic(), 0.0

    async def warming(*_: object) -> None:
        nonlocal warm
        await (asyncio.Event().wait() if forever else asyncio.sleep(0.2))
        warm = time.monotonic()

    monkeypatch.setattr(retriever, "warm", warming)
    patience = 0.5 if forever else SECONDS
    monkeypatch.setattr(retriever, "WARM_SECONDS", patience)
    monkeypatch.setattr(retriever.REGISTRY, "register", lambda _: None)  # twice in this process
    settings = RetrieverSettings(
        port=free_port(),
        database_url=f"sqlite:///{tmp_path}/record.db",  # type: ignore[arg-type]
        photos_url=str(tmp_path / "photos"),
        backups=str(tmp_path / "backups"),
        milvus_uri="http://127.0.0.1:1",
    )
    serving = asyncio.create_task(retriever.main(settings))
    async with channel.connect(f"127.0.0.1:{settings.port}") as peer:
        health = health_pb2_grpc.HealthStub(peer)
        found = await health.Check(READY, wait_for_ready=True, timeout=SECONDS)
    ready = time.monotonic()
    assert found.status == health_pb2.HealthCheckResponse.SERVING
    assert ready - began > patience if forever else ready > warm > 0
    serving.cancel()
    await asyncio.wait({serving})
