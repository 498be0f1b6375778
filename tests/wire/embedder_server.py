"""The embedder over real gRPC, and requests of its tests."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2

from embedder.serving.recovery import Recovery
from embedder.settings import EmbedderSettings
from embedder.wiring import bind, decoders, inference_engine
from servicekit.admission.access import OPEN, AccessPolicy
from servicekit.outbound.fetch import Fetcher, FetchPolicy
from servicekit.rpc import server
from servicekit.status import from_status
from sightline.embedder.v1 import embedding_service_pb2 as pb
from tests.fakes.photos import (
    photo,
)
from tests.fakes.triton import LITE0, LITE2, FakeTriton
from tests.fakes.web import FakeWeb, answer
from tests.waiting import SECONDS

WEB: list[FakeWeb] = [FakeWeb()]
RECOVERY: list[Recovery] = [None]  # type: ignore[list-item]
"""The web of the test that runs."""

NAME = "sightline.embedder.v1.EmbeddingService"


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
async def triton_port(triton: FakeTriton) -> AsyncIterator[int]:
    async with triton.serving() as port:
        yield port


@pytest.fixture
async def connected(triton_port: int) -> AsyncIterator[grpc.aio.Channel]:
    async for channel in served(triton_port):
        yield channel


@pytest.fixture
async def alone() -> AsyncIterator[grpc.aio.Channel]:
    """Yield a channel to an embedder whose Triton is down."""
    async for channel in served(1):
        yield channel


async def served(
    triton_port: int,
    max_pixels: int = 1_000_000,
    models: tuple[str, ...] = (LITE0, LITE2),
    access: AccessPolicy = OPEN,
    **options: Any,
) -> AsyncIterator[grpc.aio.Channel]:
    settings = EmbedderSettings(
        port=0,
        triton_target=f"127.0.0.1:{triton_port}",
        models=models,
        infer_timeout_seconds=SECONDS,
        cache_bytes=0,  # the same few photos are asked for again and again here
        max_photo_pixels=max_pixels,
        **{"max_query_photo_pixels": max_pixels} | options,
    )
    decoding = decoders(settings)
    async with FakeWeb().serving() as web:
        web.pages["/photo.jpg"] = answer(photo(200, 150))
        web.pages["/page.html"] = answer(b"<html>no photo</html>")
        web.pages["/away"] = answer(status="302 Found", location="http://10.0.0.1/")
        policy = FetchPolicy(hosts=(f"127.0.0.1:{web.port}",), schemes=("http",))
        fetch = Fetcher(policy, loopback_for_tests=True)
        WEB[0] = web
        async with inference_engine(settings) as triton:
            offered, RECOVERY[0], _ = bind(settings, triton, decoding, fetch)
            running = await server.start(offered, settings, "embedder", access)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
                yield channel
            await running.stop()
    decoding.close()


def batch(*photos: bytes, **fields: object) -> pb.BatchEmbedRequest:
    items = [pb.EmbedItem(image=photo) for photo in photos]
    return pb.BatchEmbedRequest(items=items, **fields)  # type: ignore[arg-type]


def reasons(response: pb.BatchEmbedResponse) -> list[str]:
    return [
        from_status(result.status).reason if result.status.code != code_pb2.OK else ""
        for result in response.results
    ]


def children(parent: int) -> list[int]:
    """Return the ids of the processes that it started."""
    ids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in ids if _stat(pid)[1] == str(parent)]


def _stat(pid: int) -> list[str]:
    """Return the values of proc(5) about a process, from its state on; zeros if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50
