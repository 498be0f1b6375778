"""The commands of docs/integrate/watch.md, typed at a suite: a shelf runs empty and is filled
again."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from examples.wines.catalogue import load_wines
from local_suite.suite import Suite
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from sightline_client import (
    AlertKind,
    Box,
    DetectedCondition,
    FrameOutcome,
    PresenceCondition,
    Product,
    ProductImage,
    SightlineClient,
    Watch,
    WatchDirection,
    WatchFrame,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from tests.engines import ROOT
from tests.live.conftest import until_indexed
from tests.live.hands import Hands
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[2] / "docs/integrate/watch.md").read_text("utf-8")
(FILE,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("sightline ")
]
STOPPED_FILE, COUNT_FILE, DOOR_FILE = re.findall(
    r"^```json title=.*?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)
SHOP, GOODS, DOOR = "shelf", "shelf-goods", "door-shop"
WINE = load_wines()[0]
PERSON = (ROOT / "tests" / "faces" / "astronaut.jpg").read_bytes()
SIZE, BOTTLE = (640, 480), (240, 440)


def bottle() -> Image.Image:
    return Image.open(WINE.image).convert("RGB").resize(BOTTLE)


def shelf(*, left: bool, right: bool, seed: int) -> bytes:
    """Return a frame of a shelf with a bottle at each of these places."""
    image = Image.effect_noise(SIZE, 20 + seed % 3).convert("RGB")
    for shown, x in ((left, 40), (right, 360)):
        if shown:
            image.paste(bottle(), (x, 20 + seed % 2))
    return jpeg(image)


def jpeg(image: Image.Image) -> bytes:
    image.save(file := io.BytesIO(), "JPEG", quality=90)
    return file.getvalue()


def test_the_commands_of_the_page_work(gateway: str, tmp_path: Path) -> None:
    hands = Hands(gateway, tmp_path, SHOP)
    hands.run("catalogs", "create", SHOP)
    (tmp_path / "shelf.json").write_text(FILE, encoding="utf-8")
    full = Image.open(io.BytesIO(shelf(left=True, right=True, seed=0)))
    (tmp_path / "bottle.jpg").write_bytes(jpeg(full.crop((0, 0, 320, 480))))
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(20):
        both = not 6 <= number < 12
        (frames / f"{number:02}.jpg").write_bytes(shelf(left=True, right=both, seed=number))
    create, listed, _, count, send, alerts, _, _, photo, _, delete = COMMANDS
    assert "2 rules" in hands.run(*create)
    assert "Red wines, aisle 3" in hands.run(*listed)
    sent = hands.run(*send)
    assert "20 frames checked, 0 dropped, 0 ignored, 0 rejected" in " ".join(sent.split())
    assert ("STARTED" in sent, "ENDED" in sent) == (True, True)
    hands.run(*alerts)
    found = json.loads(hands.run(*alerts, "--json"))["alerts"]
    assert [(each["ruleId"], each["kind"]) for each in found] == [
        ("few", "KIND_ENDED"),
        ("few", "KIND_STARTED"),
    ]
    entries = hands.facts("audit", "list", "--caller", "watch:shelf")["entries"]
    assert [(each["method"], each["requestId"]) for each in entries] == [
        ("watch.alert/few:ended", found[0]["alertId"]),
        ("watch.alert/few:started", found[1]["alertId"]),
    ]
    hands.run(*[found[1]["imageId"] if word == "IMAGE" else word for word in photo])
    with Image.open(tmp_path / "now.jpg") as kept:
        assert kept.size == (SIZE[0] // 2, SIZE[1])  # the place that is empty
    hands.run(*delete)
    (tmp_path / "count.json").write_text(COUNT_FILE, encoding="utf-8")
    assert "1 rules" in hands.run(*count)
    counted = hands.run("watch", "send", "count", "frames")
    assert ("STARTED" in counted, "ENDED" in counted) == (True, True)
    hands.run("watch", "delete", "count")
    assert "No watches." in hands.run(*listed)


async def test_frames_are_taken_from_an_address(suite: Suite, gateway: str, tmp_path: Path) -> None:
    hands = Hands(gateway, tmp_path, DOOR)
    hands.run("catalogs", "create", DOOR)
    (tmp_path / "door.json").write_text(DOOR_FILE, encoding="utf-8")
    assert "1 rules" in hands.run(*COMMANDS[6])
    assert "door" in hands.run(*COMMANDS[7])
    (hosts,) = {
        each.environment["VISION_FETCH_HOSTS"]
        for each in suite.programs.values()
        if "VISION_FETCH_HOSTS" in each.environment
    }
    port = int(hosts.split(",")[0].rpartition(":")[2])
    dark = jpeg(Image.new("RGB", SIZE))
    camera = HTTPServer(("127.0.0.1", port), partial(Picture, dark))
    Thread(target=camera.serve_forever, daemon=True).start()
    try:
        async with SightlineClient(gateway, catalog=DOOR, timeout=SECONDS) as client:
            stored = await client.get_watch("door")
            assert stored.snapshot_seconds == 2
            rule = replace(stored.rules[0], hold=timedelta())
            uri = f"http://127.0.0.1:{port}/now.jpg"
            await client.update_watch(replace(stored, rules=(rule,), snapshot_uri=uri))
            async for found in client.watch_alerts(watch_id="door", resume_token="after-0"):
                assert (found.alert.rule_id, found.alert.kind) == ("dark", AlertKind.STARTED)
                break
            status = (await client.get_watch("door")).snapshot
            assert status is not None
            assert (status.fetch_time is not None, status.failure_count) == (True, 0)
            assert await client.delete_watch("door")
    finally:
        camera.shutdown()
        camera.server_close()


async def test_a_camera_that_stops_is_noticed(gateway: str, tmp_path: Path) -> None:
    hands = Hands(gateway, tmp_path, SHOP)
    hands.run("catalogs", "create", SHOP)
    (tmp_path / "stopped.json").write_text(STOPPED_FILE, encoding="utf-8")
    assert "1 rules" in hands.run(*COMMANDS[2])
    async with SightlineClient(gateway, catalog=SHOP, timeout=SECONDS) as client:
        stored = await client.get_watch("till")
        rule = stored.rules[0]
        assert (rule.hold, rule.release) == (timedelta(minutes=1), timedelta())
        await client.update_watch(
            replace(stored, rules=(replace(rule, hold=timedelta(seconds=1)),))
        )
        found = list[tuple[str, AlertKind]]()
        async for each in client.watch_alerts(watch_id="till", resume_token="after-0"):
            found.append((each.alert.rule_id, each.alert.kind))
            if len(found) == 2:
                break
            await client.send_frames("till", [WatchFrame(WINE.image.read_bytes())])
        assert found == [("stopped", AlertKind.STARTED), ("stopped", AlertKind.ENDED)]
        assert await client.delete_watch("till")


async def test_faces_are_blurred_in_all_photos_of_a_watch(suite: Suite, gateway: str) -> None:
    """In a catalog that keeps the faces of its products' photos."""
    box = Box(0.25, 0.05, 0.65, 0.6)
    left, top, right, bottom = 96, 15, 250, 180  # of 384 × 300 pixels
    target = WatchTarget(image=PERSON, min_similarity=0.05)
    condition = PresenceCondition(target, WatchDirection.APPEARS, ("middle",))
    rule = WatchRule("there", presence=condition, hold=timedelta(), cool_down=timedelta())
    watch = Watch("person", (rule,), (WatchRegion("middle", box),), photo_days=1)
    async with SightlineClient(gateway, catalog=SHOP, timeout=SECONDS) as client:
        await client.create_catalog(SHOP)
        made = await client.create_watch(watch)
        (alert,) = (await client.send_frames("person", [WatchFrame(PERSON)])).alerts
        part = await client.get_alert_photo(alert.image_id)
        (kept,) = made.rules
        await client.update_watch(
            replace(made, rules=(replace(kept, rule_id="again"),), whole_frames=True, etag="")
        )
        # The same frame again would be a frozen picture, which tells nothing.
        frames = [WatchFrame(jpeg(Image.new("RGB", SIZE))), WatchFrame(PERSON)]
        alerts = (await client.send_frames("person", frames)).alerts
        assert [each.rule_id for each in alerts] == ["again"]
        (alert,) = alerts
        whole = await client.get_alert_photo(alert.image_id)
        assert kept.presence is not None
        wanted = await client.get_alert_photo(kept.presence.target.image_id)
        assert await client.delete_watch("person")
    for photo, (x, y) in ((part, (left, top)), (whole, (0, 0)), (wanted, (0, 0))):
        after = pixels(photo)
        before = pixels(PERSON)[y : y + after.shape[0], x : x + after.shape[1]]
        changed = np.abs(before - after).max(axis=2) > 24
        assert changed[45 - y : 138 - y, 134 - x : 203 - x].mean() > 0.5, "the face"
        assert changed[165 - y :, 230 - x :].mean() < 0.02, "what is far from it"
        assert not await faces(suite, photo)
    assert pixels(part).shape == (bottom - top, right - left, 3)
    assert pixels(whole).shape == pixels(wanted).shape == (300, 384, 3)
    assert len(await faces(suite, PERSON)) == 1


def pixels(photo: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(photo)) as image:
        return np.asarray(image.convert("RGB"), np.int16)


async def faces(suite: Suite, photo: bytes) -> list[Any]:
    """Return the faces that the suite's model finds in a photo."""
    async with grpc.aio.insecure_channel(suite.addresses()["embedder"]) as channel:
        stub = EmbeddingServiceStub(channel)
        found = await stub.FindFaces(pb.FindFacesRequest(image=photo), timeout=SECONDS)
    return [*found.faces]


class Picture(BaseHTTPRequestHandler):
    """Answers each request with one picture."""

    def __init__(self, data: bytes, *arguments: Any) -> None:
        self.data = data
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)


def backups(suite: Suite, *arguments: str) -> dict[str, Any]:
    """Run the command of backups of watches, as on the machine of the service. Return what it
    says."""
    program = suite.programs["vision"]
    done = subprocess.run(
        [sys.executable, "-m", "vision.backups", *arguments, "--catalog", GOODS],
        env=os.environ | dict(program.environment),
        capture_output=True,
        timeout=SECONDS,
        check=True,
        text=True,
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


async def test_a_product_is_gone_and_its_alert_ends_after_a_restore(
    suite: Suite, gateway: str, tmp_path: Path
) -> None:
    async with SightlineClient(gateway, catalog=GOODS, timeout=SECONDS) as client:
        await client.create_catalog(GOODS)
        photo = WINE.image.read_bytes()
        await client.upsert_products([Product("wine", WINE.title, images=(ProductImage(photo),))])
        await until_indexed(client, 1)
        target = WatchTarget(product_id="wine")
        condition = PresenceCondition(target, WatchDirection.GONE)
        rule = WatchRule("gone", presence=condition, hold=timedelta(), cool_down=timedelta())
        await client.create_watch(Watch("bottle", (rule,)))
        for data, holds in ((photo, False), (shelf(left=False, right=False, seed=1), True)):
            (result,) = (await client.send_frames("bottle", [WatchFrame(data)])).results
            assert result.outcome is FrameOutcome.PROCESSED
            assert (result.readings[0].unknown, result.readings[0].holds) == (False, holds)
        frames = [WatchFrame(shelf(left=False, right=False, seed=seed)) for seed in range(2, 5)]
        assert len((await client.send_frames("bottle", frames)).results) == 3
        stored, hands = await client.get_watch("bottle"), Hands(gateway, tmp_path, GOODS)
        (started,) = [each async for each in client.list_alerts()]
        backup_id = backups(suite, "create")["backup"]
        assert await client.delete_watch("bottle")
        backups(suite, "restore", backup_id)
        assert await client.get_watch("bottle") == stored
        assert [each async for each in client.list_alerts()] == [started]
        (ended,) = (await client.send_frames("bottle", [WatchFrame(photo)])).alerts
        assert (ended.kind, ended.started_alert_id) == (AlertKind.ENDED, started.alert_id)
        assert await client.delete_watch("bottle")
        await _explained(client, hands)


async def _explained(client: SightlineClient, hands: Hands) -> None:
    """Draw by the page's commands how the photo of an alert resembles the product of its rule."""
    condition = PresenceCondition(WatchTarget(product_id="wine"), WatchDirection.APPEARS)
    rule = WatchRule("there", presence=condition, hold=timedelta())
    await client.create_watch(Watch("arrives", (rule,), photo_days=1))
    (alert,) = (await client.send_frames("arrives", [WatchFrame(WINE.image.read_bytes())])).alerts
    named = {"IMAGE": alert.image_id, "PRODUCT": "wine"}
    for command in COMMANDS[8:10]:
        hands.run(*(named.get(word, word) for word in command))
    with Image.open(hands.folder / "why.png") as drawn:
        assert drawn.format == "PNG"
    assert await client.delete_watch("arrives")


async def test_bottles_are_counted_wherever_they_stand(gateway: str) -> None:
    async with SightlineClient(gateway, catalog=SHOP, timeout=SECONDS) as client:
        await client.create_catalog(SHOP)
        with Image.open(io.BytesIO(shelf(left=True, right=True, seed=0))) as full:
            target = WatchTarget(image=jpeg(full.crop((0, 0, 320, 480))))
        rules = (
            WatchRule("any", detected=DetectedCondition(1), hold=timedelta()),
            WatchRule("few", detected=DetectedCondition(2, target), hold=timedelta()),
        )
        await client.create_watch(Watch("where", rules))
        for seed, shown in enumerate(((True, True), (True, False), (False, True), (False, False))):
            frame = WatchFrame(shelf(left=shown[0], right=shown[1], seed=seed))
            answer = await client.send_frames("where", [frame])
            assert [each.score for each in answer.results[0].readings] == [sum(shown)] * 2
            assert answer.detected_count == 1
        assert await client.delete_watch("where")
