"""Frames of watches from addresses: a real worker fetches them from a real HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from PIL import Image

from sightline.gateway.v1.watch_service_pb2_grpc import WatchServiceStub
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as pb
from tests.fakes.photos import encoded, photo
from tests.fakes.web import FakeWeb, answer
from tests.stores import Stores
from tests.waiting import until
from tests.wire.retriever_shop import refused
from tests.wire.vision_shop import VisionShop, seeing

PAGE = "/now.jpg"
BLACK = answer(encoded(Image.new("RGB", (64, 48))))


@pytest.fixture
async def camera() -> AsyncIterator[FakeWeb]:
    async with FakeWeb({PAGE: BLACK}).serving() as served:
        yield served


@pytest.fixture
async def shop(camera: FakeWeb, stores: Stores, tmp_path: Path) -> AsyncIterator[VisionShop]:
    """Return a vision that allows the camera."""
    settings = {
        "VISION_WORKER_LEASE_SECONDS": "10",
        "VISION_FETCH_HOSTS": f'["127.0.0.1:{camera.port}","localhost:{camera.port}"]',
        "VISION_FETCH_SCHEMES": '["http"]',
        "VISION_SNAPSHOT_NETWORKS": '["127.0.0.0/8"]',
    }
    async with seeing(stores, tmp_path, **settings) as made:
        yield made


@pytest.fixture
def watches(shop: VisionShop) -> WatchServiceStub:
    return shop.stub


def watch(uri: str) -> pb.CreateWatchRequest:
    condition = watch_pb2.FaultCondition(fault=watch_pb2.FaultCondition.FAULT_BLACK)
    rule = watch_pb2.WatchRule(rule_id="dark", fault=condition, hold=Duration())
    return pb.CreateWatchRequest(
        watch=watch_pb2.Watch(watch_id="door", rules=[rule], snapshot_uri=uri, snapshot_seconds=1)
    )


@pytest.mark.full
async def test_frames_are_taken_from_an_address_and_failures_are_shown(
    shop: VisionShop, watches: WatchServiceStub, camera: FakeWeb
) -> None:
    made = await watches.CreateWatch(watch(camera.url(PAGE, "127.0.0.1")))
    assert (made.snapshot.failure_count, made.snapshot.HasField("fetch_time")) == (0, False)

    async def found() -> watch_pb2.SnapshotStatus:
        return (await watches.GetWatch(pb.GetWatchRequest(watch_id="door"))).snapshot

    async def reason(wanted: str) -> bool:
        return bool((await found()).error_reason == wanted)

    async def works() -> bool:
        status = await found()
        return status.HasField("fetch_time") and not status.failure_count

    async def at_least(alerts: int) -> bool:
        return len((await watches.ListAlerts(pb.ListAlertsRequest())).alerts) >= alerts

    async with shop.worker():
        await until(lambda: at_least(1))
        for page, wanted in (
            (answer(status="500 Internal Server Error"), "URI_UNREADABLE"),
            (answer(status="302 Found", location="http://169.254.169.254/"), "URI_FORBIDDEN"),
            (answer(b"no picture"), "IMAGE_UNDECODABLE"),
        ):
            camera.pages[PAGE] = page
            await until(partial(reason, wanted))
        camera.pages[PAGE] = answer(photo(seed=1))
        await until(works)
        await until(lambda: at_least(2))


async def test_addresses_that_are_not_allowed_are_rejected(watches: WatchServiceStub) -> None:
    for uri in (
        "http://127.0.0.1:1/x",
        "https://camera.test/",
        "file:///etc/passwd",
        "http://a@b/",
    ):
        with refused("INVALID_ARGUMENT", "URI_FORBIDDEN", "watch.snapshot_uri"):
            await watches.CreateWatch(watch(uri))
