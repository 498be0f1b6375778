"""The commands and the receiver of docs/integrate/webhooks.md: from a black frame to a message."""

import asyncio
import re
import shlex
import subprocess
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from PIL import Image

from local_suite.suite import Suite
from sightline.gateway.v1.watch_service_pb2_grpc import WatchServiceStub
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as pb
from sightline_client import SightlineClient
from tests.fakes.photos import encoded
from tests.live.hands import SIGHTLINE
from tests.live.test_http import ADDRESS
from tests.receivers import PAGE, page_receiver
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

SHOP = "till-shop"
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def typed(suite: Suite, line: str) -> str:
    """Return what a command of the page prints."""
    program, *arguments = shlex.split(line)
    if program == "curl":
        here = [each.replace(ADDRESS, suite.http) for each in arguments]
        command = [program, *(each.replace("/default/", f"/{SHOP}/") for each in here)]
    else:
        target = suite.addresses()["gateway"]
        command = [SIGHTLINE, *arguments, "--target", target, "--catalog", SHOP]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_black_frame_becomes_a_message_to_the_pages_receiver(
    suite: Suite, gateway: str, tmp_path: Path
) -> None:
    (hosts,) = {
        each.environment["VISION_WEBHOOK_HOSTS"]
        for each in suite.programs.values()
        if "VISION_WEBHOOK_HOSTS" in each.environment
    }
    port = int(hosts.split(",")[0].rpartition(":")[2])
    async with (
        SightlineClient(gateway, catalog=SHOP) as client,
        grpc.aio.insecure_channel(gateway) as channel,
    ):
        await client.create_catalog(SHOP)
        printed = {line: await asyncio.to_thread(typed, suite, line) for line in COMMANDS}
        assert len(printed) == 9
        first, listed, shown, tried, moved, *_, rotated, deleted = printed.values()
        assert "whsec_" in first
        assert "till-camera" in listed
        assert "till-camera" in shown
        assert "not accepted" in tried
        assert "alerts.shop.example/v2" in moved
        assert "whsec_" in rotated
        assert deleted.strip() == "deleted"

        made = await client.create_webhook("ops", f"http://127.0.0.1:{port}/")
        async with page_receiver(made.secret, port, tmp_path) as received:
            await see_black(WatchServiceStub(channel))
            line = await asyncio.wait_for(received.readline(), SECONDS)
        assert line.startswith(b"watch.alert.started till-camera black started ")
        (state,) = await client.list_webhooks()
        assert (state.failing_watch_count, state.dead_letter_count) == (0, 0)


async def see_black(watches: WatchServiceStub) -> None:
    """Create a watch, and send it a black frame."""
    condition = watch_pb2.FaultCondition(fault=watch_pb2.FaultCondition.FAULT_BLACK)
    rule = watch_pb2.WatchRule(rule_id="black", fault=condition, hold=Duration())
    watch = watch_pb2.Watch(watch_id="till-camera", rules=[rule])
    await watches.CreateWatch(pb.CreateWatchRequest(catalog_id=SHOP, watch=watch))
    frame = watch_pb2.WatchFrame(image=encoded(Image.new("RGB", (64, 48))))
    request = pb.SendFramesRequest(catalog_id=SHOP, watch_id="till-camera", frames=[frame])
    answer = await watches.SendFrames(request, timeout=SECONDS)
    assert [each.kind for each in answer.alerts] == [watch_pb2.Alert.KIND_STARTED]
