"""One whole suite for all live tests: real Triton, real Milvus Lite, real LightFM, real SQLite."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from examples.wines import shop
from examples.wines.catalogue import load_ratings, load_wines
from local_suite.programs import PORTS, sightline
from local_suite.suite import Suite
from sightline_client import JobState, SightlineClient

CATALOGS = ("default", "kills", "rubbish")
"""The wines; what is written while processes are killed; what bad input is sent to."""


def free_port_base() -> int:
    """A base from which every port of a suite is free now."""
    offsets = sorted(offset for ports in PORTS.values() for offset in ports.values())
    for base in range(20_000, 30_000, 16):
        with_all = [socket.socket() for _ in offsets]
        try:
            for probe, offset in zip(with_all, offsets, strict=True):
                probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        finally:
            for probe in with_all:
                probe.close()
        return base
    raise OSError("no free ports")


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Every service and engine as a process of its own."""
    data: Path = tmp_path_factory.mktemp("suite")
    with Suite(data, sightline(data, free_port_base(), CATALOGS)) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(suite: Suite) -> str:
    """The gateway's address."""
    return suite.addresses()["gateway"]


@pytest.fixture(scope="session")
def shop_is_open(gateway: str) -> None:
    """100 wines are indexed, 1,000 ratings are in, a model is trained on them and promoted."""
    asyncio.run(_open_shop(gateway))


async def _open_shop(gateway: str) -> None:
    async with SightlineClient(gateway) as client:
        products = await client.upsert_products(shop.product(wine) for wine in load_wines())
        assert (products.stored_count, products.failures) == (100, ())
        events = await client.write_events(shop.event(rating) for rating in load_ratings())
        assert (events.written_count, events.failures) == (1_000, ())
        await until_indexed(client, images=100)
        started = await client.train_model(seed=7)
        job = [state async for state in client.watch_job(started.job_id)][-1]
        assert job.state is JobState.SUCCEEDED, job.error
        await client.promote_model(job.results["model_version"])
        await until_serving(client, job.results["model_version"])


async def until_indexed(client: SightlineClient, images: int, seconds: float = 60) -> None:
    """Waits until at least so many photos are indexed and nothing waits any more."""
    until = time.monotonic() + seconds
    while True:
        status = await client.status()
        caught_up = (
            status.pending_images == 0
            and (status.indexed_images or 0) >= images
            and status.freshness is not None
            and not status.freshness.index_lag
        )
        if caught_up:
            return
        assert time.monotonic() < until, f"the index does not catch up: {status}"
        await asyncio.sleep(0.1)


async def until_serving(client: SightlineClient, version: str, seconds: float = 10) -> None:
    """Waits until the ranker answers with a model."""
    until = time.monotonic() + seconds
    while (await client.status()).model_version != version:
        assert time.monotonic() < until, f"model {version} does not serve"
        await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def client(gateway: str, shop_is_open: None) -> AsyncIterator[SightlineClient]:
    """The public API of an open shop."""
    async with SightlineClient(gateway) as opened:
        yield opened
