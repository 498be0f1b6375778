"""Watches over real gRPC: frames are decoded and embedded, alerts are stored, listed and
streamed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from PIL import Image, ImageFilter

from servicekit.audit.record import AuditRecord
from servicekit.errors import Unavailable
from servicekit.rpc import server
from servicekit.rpc.audit_service import AuditServicer
from servicekit.rpc.requests import timestamp
from servicekit.rpc.server import Binding
from servicekit.status import from_status
from sightline.common.v1 import photo_pb2
from sightline.gateway.v1.watch_service_pb2_grpc import WatchServiceStub
from sightline.retriever.v1 import photo_service_pb2
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as pb
from sightline_rules.photos import image_id
from tests.fakes.index import VERSION, vector_of
from tests.fakes.photos import encoded, photo, picture
from tests.stores import Stores
from tests.waiting import SECONDS
from tests.wire.retriever_shop import Shop, exact_rows, refused, shop, wine
from tests.wire.vision_shop import VisionShop, seeing
from vision.adapters.audit_log import AuditLog
from vision.adapters.takedowns import RetrieverTakedowns
from vision.domain.errors import ImageNotFound
from vision.record import Record
from vision.watching.taken_down import TakenDownPhotos
from vision.workers.auditing import Auditing

__all__ = ["exact_rows", "shop"]  # fixtures

SHELF, EMPTY = photo(seed=1), photo(seed=2)
BLACK = encoded(Image.new("RGB", (64, 48)))
NOW = Duration()


@pytest.fixture
async def vision(
    shop: Shop, stores: Stores, tmp_path: Path, shared_decoders: None
) -> AsyncIterator[VisionShop]:
    """Return vision beside the shop's retriever, with the same embedder."""
    peers = {"embedder": shop.settings.embedder_target, "retriever": shop.target}
    async with seeing(stores, tmp_path, **peers) as made:
        yield made


@pytest.fixture
def watches(vision: VisionShop) -> WatchServiceStub:
    return vision.stub


def gone(image: bytes = SHELF, **target: Any) -> watch_pb2.WatchRule:
    """Return the rule that something is gone, at once."""
    condition = watch_pb2.PresenceCondition(
        target=watch_pb2.WatchTarget(image=image, **target), direction="DIRECTION_GONE"
    )
    times = {"hold": NOW, "release": NOW, "cool_down": NOW}
    return watch_pb2.WatchRule(rule_id="gone", presence=condition, **times)


def fault(name: str) -> watch_pb2.WatchRule:
    condition = watch_pb2.FaultCondition(fault=f"FAULT_{name.upper()}")
    return watch_pb2.WatchRule(rule_id=name, fault=condition, hold=NOW)


class Camera:
    """A watch and its frames, one a second."""

    def __init__(self, watches: WatchServiceStub) -> None:
        self.watches = watches
        self.micros = int(time.time() - 3600) * 1_000_000

    async def watch(self, *rules: watch_pb2.WatchRule, **fields: Any) -> watch_pb2.Watch:
        watch = watch_pb2.Watch(watch_id="shelf", rules=rules, **fields)
        made: watch_pb2.Watch = await self.watches.CreateWatch(pb.CreateWatchRequest(watch=watch))
        return made

    async def send(self, *frames: bytes) -> pb.SendFramesResponse:
        sent = []
        for data in frames:
            self.micros += 1_000_000
            sent.append(watch_pb2.WatchFrame(image=data, frame_time=timestamp(self.micros)))
        answer: pb.SendFramesResponse = await self.watches.SendFrames(
            pb.SendFramesRequest(watch_id="shelf", frames=sent), timeout=SECONDS
        )
        return answer


@pytest.fixture
def camera(watches: WatchServiceStub) -> Camera:
    return Camera(watches)


def kinds(alerts: Any) -> list[str]:
    return [watch_pb2.Alert.Kind.Name(alert.kind).removeprefix("KIND_") for alert in alerts]


async def test_an_alert_is_stored_listed_and_streamed(
    shop: Shop, watches: WatchServiceStub, camera: Camera
) -> None:
    made = await camera.watch(gone())
    assert made.rules[0].presence.target.image == b""
    assert made.rules[0].presence.target.image_id
    stream = watches.WatchAlerts(pb.WatchAlertsRequest())
    assert not (await stream.read()).HasField("alert")
    answer = await camera.send(SHELF, EMPTY)
    assert [each.readings[0].score for each in answer.results] == [
        pytest.approx(1.0),
        pytest.approx(answer.alerts[0].score),
    ]
    assert kinds(answer.alerts) == ["STARTED"]
    seen = await asyncio.wait_for(stream.read(), SECONDS)
    assert seen.alert == answer.alerts[0]
    ended = await camera.send(SHELF)
    again = watches.WatchAlerts(pb.WatchAlertsRequest(resume_token=seen.resume_token))
    await again.read()
    assert (await asyncio.wait_for(again.read(), SECONDS)).alert == ended.alerts[0]
    listed = await watches.ListAlerts(pb.ListAlertsRequest(page_size=1))
    assert list(listed.alerts) == list(ended.alerts)
    listed = await watches.ListAlerts(
        pb.ListAlertsRequest(page_size=1, page_token=listed.next_page_token)
    )
    assert list(listed.alerts) == list(answer.alerts)
    assert not listed.next_page_token
    found = await watches.GetWatch(pb.GetWatchRequest(watch_id="shelf"))
    assert (found.counts.processed, found.counts.frame_time) == (3, timestamp(camera.micros))
    stream.cancel()
    again.cancel()


async def test_the_frame_of_an_alert_is_kept_without_faces(
    shop: Shop, watches: WatchServiceStub, camera: Camera
) -> None:
    shop.embedder.faces = [photo_pb2.Box(left=0.2, top=0.2, right=0.6, bottom=0.6)]
    await camera.watch(gone(), photo_days=1)
    answer = await camera.send(SHELF, EMPTY)
    image_id = answer.alerts[0].image_id
    kept = await watches.GetAlertPhoto(pb.GetAlertPhotoRequest(image_id=image_id))
    assert (kept.media_type, kept.width, kept.height) == ("image/jpeg", 64, 48)
    assert kept.content != EMPTY
    assert not answer.alerts[0].HasField("box")
    with refused("NOT_FOUND", "IMAGE_NOT_FOUND"):
        await watches.GetAlertPhoto(pb.GetAlertPhotoRequest(image_id="0" * 64))


async def test_an_alert_names_the_part_that_it_is_about_and_its_photo_shows_only_that(
    watches: WatchServiceStub, camera: Camera
) -> None:
    box = photo_pb2.Box(left=0.5, top=0.0, right=1.0, bottom=0.5)
    region = watch_pb2.WatchRegion(region_id="right", box=box)
    rule = gone()
    rule.presence.region_ids.append("right")
    await camera.watch(rule, regions=[region], photo_days=1)
    (alert,) = (await camera.send(EMPTY)).alerts
    assert alert.box == box
    kept = await watches.GetAlertPhoto(pb.GetAlertPhotoRequest(image_id=alert.image_id))
    assert (kept.media_type, kept.width, kept.height) == ("image/jpeg", 32, 24)


async def test_pictures_without_content_are_told(camera: Camera) -> None:
    await camera.watch(fault("black"), fault("frozen"), fault("blurred"))
    for seed in range(20):
        assert not (await camera.send(photo(seed=seed))).alerts
    blurred = encoded(picture(seed=3).filter(ImageFilter.GaussianBlur(4)))
    for frame, rule in ((BLACK, "black"), (blurred, "blurred"), (EMPTY, ""), (EMPTY, "frozen")):
        alerts = (await camera.send(frame)).alerts
        started = [each.rule_id for each in alerts if each.kind == watch_pb2.Alert.KIND_STARTED]
        assert started == [rule] * bool(rule)


async def test_a_restart_loses_nothing(vision: VisionShop, camera: Camera) -> None:
    """State and alerts are in the store when the answer arrives."""
    await camera.watch(gone())
    (alert,) = (await camera.send(SHELF, EMPTY)).alerts
    again = Record(vision.db)
    found = await again.watch("default", "shelf")
    assert found is not None
    assert found[1].state.rules["gone"].period.alert_id == alert.alert_id
    assert [each.alert_id for each in await again.alerts_after("default", "", 0, 9)] == [
        alert.alert_id
    ]


async def test_a_bad_frame_has_its_own_error(camera: Camera) -> None:
    await camera.watch(gone())
    answer = await camera.send(SHELF, b"no photo", EMPTY)
    assert from_status(answer.results[1].status).reason == "IMAGE_UNDECODABLE"
    assert kinds(answer.alerts) == ["STARTED"]


async def test_invalid_requests_are_refused(watches: WatchServiceStub, camera: Camera) -> None:
    with refused("INVALID_ARGUMENT", "WATCH_INVALID", "watch.rules[0]"):
        await camera.watch(watch_pb2.WatchRule(rule_id="none"))
    with refused("INVALID_ARGUMENT", "WATCH_INVALID", "watch.rules[0].presence.target"):
        await camera.watch(gone(image=b""))
    with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
        await camera.watch(gone(image=b"", product_id="none"))
    with refused("INVALID_ARGUMENT", "IMAGE_UNDECODABLE", "watch.rules[0].presence.target.image"):
        await camera.watch(gone(image=b"no photo"))
    with refused("NOT_FOUND", "WATCH_NOT_FOUND"):
        await camera.send(SHELF)
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "frames"):
        await camera.send()
    for count in (-1, 10**6 + 1):
        with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "dropped_count"):
            frame = watch_pb2.WatchFrame(image=SHELF)
            request = pb.SendFramesRequest(watch_id="shelf", frames=[frame], dropped_count=count)
            await watches.SendFrames(request)
    stream = watches.WatchAlerts(pb.WatchAlertsRequest(resume_token="none"))
    with refused("INVALID_ARGUMENT", "RESUME_TOKEN_INVALID", "resume_token"):
        await stream.read()
    with refused("NOT_FOUND", "WATCH_NOT_FOUND"):
        await watches.GetWatch(pb.GetWatchRequest(watch_id="none"))
    assert not (await watches.DeleteWatch(pb.DeleteWatchRequest(watch_id="none"))).deleted
    assert not (await watches.ListWatches(pb.ListWatchesRequest())).watches


async def test_a_watch_is_updated_with_its_photo_and_deleted(
    watches: WatchServiceStub, camera: Camera
) -> None:
    made = await camera.watch(gone())
    made.display_name = "A shelf"
    changed = await watches.UpdateWatch(pb.UpdateWatchRequest(watch=made))
    assert changed.rules == made.rules
    made.display_name = "Another"
    with refused("ABORTED", "ETAG_MISMATCH"):
        await watches.UpdateWatch(pb.UpdateWatchRequest(watch=made))
    with refused("ALREADY_EXISTS", "WATCH_EXISTS"):
        await camera.watch(gone(image=EMPTY))
    assert (await watches.DeleteWatch(pb.DeleteWatchRequest(watch_id="shelf"))).deleted


LEFT, RIGHT = (photo_pb2.Box(left=x, top=0.1, right=x + 0.2, bottom=0.9) for x in (0.1, 0.7))


def detected(**condition: Any) -> watch_pb2.WatchRule:
    """Return a rule that counts objects, at once."""
    times = {"hold": NOW, "release": NOW, "cool_down": NOW}
    condition = {"region_id": "right"} | condition
    counted = watch_pb2.DetectedCondition(**condition)
    return watch_pb2.WatchRule(rule_id="few", detected=counted, **times)


@pytest.mark.parametrize(
    ("target", "counts", "alerts"),
    [
        (None, [0, 1, 1], ["STARTED", "ENDED"]),
        (
            watch_pb2.WatchTarget(image=SHELF, min_similarity=0.99),
            [0, 1, 0],
            ["STARTED", "ENDED", "STARTED"],
        ),
    ],
)
async def test_objects_in_a_region_are_counted(
    shop: Shop,
    camera: Camera,
    target: watch_pb2.WatchTarget | None,
    counts: list[int],
    alerts: list[str],
) -> None:
    box = photo_pb2.Box(left=0.5, top=0.0, right=1.0, bottom=1.0)
    region = watch_pb2.WatchRegion(region_id="right", box=box)
    made = await camera.watch(detected(target=target, below=1), regions=[region])
    assert made.rules[0].detected.below == 1
    assert made.rules[0].detected.HasField("target") is (target is not None)
    shop.embedder.objects = [(LEFT, SHELF)]
    answers = [await camera.send(photo(seed=3))]
    # The target as it was embedded: reduced, and encoded again.
    shown = SHELF if target is None else shop.embedder.embedded[-1][1]
    assert isinstance(shown, bytes)
    for seed, here in enumerate((shown, EMPTY)):
        shop.embedder.objects = [(LEFT, SHELF), (RIGHT, here)]
        answers.append(await camera.send(photo(seed=seed + 4)))
    assert [each.results[0].readings[0].score for each in answers] == counts
    found = [each for answer in answers for each in answer.alerts]
    assert kinds(found) == alerts
    assert found[0].box == box
    views = 0 if target is None else 4  # objects that are only counted are not embedded
    assert (answers[1].detected_count, answers[1].detected_view_count) == (1, views)


async def test_objects_that_cannot_be_looked_for_are_unknown(shop: Shop, camera: Camera) -> None:
    await camera.watch(detected(below=1, region_id=""), fault("black"))
    shop.embedder.finder = Unavailable("not loaded", reason="MODEL_NOT_READY")
    (result,) = (await camera.send(SHELF)).results
    assert [each.unknown for each in result.readings] == [True, False]
    shop.embedder.finder = Unavailable("gone", reason="EMBEDDER_UNAVAILABLE")
    with refused("UNAVAILABLE", "EMBEDDER_UNAVAILABLE"):
        await camera.send(EMPTY)


async def test_frames_are_compared_with_the_photos_of_a_product(
    shop: Shop, vision: VisionShop, camera: Camera
) -> None:
    answer = await shop.upsert(wine("a", 1))
    await shop.seen(answer.index_token)
    found = await vision.parts.checks.products.references("default", ["a", "none"])
    assert found.version == VERSION
    assert [each.tolist() for each in found.vectors["a"]] == [vector_of(SHELF).tolist()]
    assert found.vectors.keys() == {"a"}
    await camera.watch(gone(image=b"", product_id="a"))
    (result,) = (await camera.send(SHELF)).results
    assert not result.readings[0].unknown


async def test_a_photo_that_was_taken_down_is_no_target(shop: Shop, camera: Camera) -> None:
    await shop.photos.TakeDownPhoto(
        photo_service_pb2.TakeDownPhotoRequest(image_id=image_id(SHELF))
    )
    with refused("FAILED_PRECONDITION", "IMAGE_TAKEN_DOWN", "watch.rules[0].presence.target.image"):
        await camera.watch(gone())


async def test_a_photo_of_an_alert_that_is_taken_down_can_not_be_read(
    shop: Shop, watches: WatchServiceStub, camera: Camera
) -> None:
    await camera.watch(gone(), photo_days=1)
    (alert,) = (await camera.send(EMPTY)).alerts
    asked = pb.GetAlertPhotoRequest(image_id=alert.image_id)
    assert (await watches.GetAlertPhoto(asked)).content
    taken = photo_service_pb2.TakeDownPhotoRequest(image_id=alert.image_id)
    await shop.photos.TakeDownPhoto(taken)
    with refused("NOT_FOUND", "IMAGE_NOT_FOUND", "image_id"):
        await watches.GetAlertPhoto(asked)
    lifted = photo_service_pb2.LiftTakedownRequest(image_id=alert.image_id)
    await shop.photos.LiftTakedown(lifted)
    assert (await watches.GetAlertPhoto(asked)).content


async def test_the_bytes_of_a_photo_that_was_taken_down_go(
    shop: Shop, vision: VisionShop, watches: WatchServiceStub, camera: Camera
) -> None:
    await camera.watch(gone(), photo_days=1)
    (alert,) = (await camera.send(EMPTY)).alerts
    parts = vision.parts
    takedowns = RetrieverTakedowns(parts.channel)
    due = TakenDownPhotos(parts.catalogs, parts.record, parts.photos, takedowns)
    await due.step()
    assert await parts.photos.get("default", alert.image_id), "it was not taken down"
    taken = photo_service_pb2.TakeDownPhotoRequest(image_id=alert.image_id)
    await shop.photos.TakeDownPhoto(taken)
    await due.step()
    with pytest.raises(ImageNotFound):
        await parts.photos.get("default", alert.image_id)


async def test_alerts_reach_the_audit_log_of_the_retriever(
    vision: VisionShop, camera: Camera, shop: Shop
) -> None:
    await camera.watch(gone())
    (alert,) = (await camera.send(SHELF, EMPTY)).alerts
    audit = Binding.of(AuditServicer(shop.catalogs, AuditRecord(shop.db)))
    running = await server.start([audit], shop.settings, "retriever")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        assert not await Auditing(vision.record, AuditLog(channel).append).step()
    await running.stop()
    (entries, _) = await AuditRecord(shop.db).chain("default", 9, (0, ""))
    assert [(each["caller"], each["request_id"]) for each in entries] == [
        ("watch:shelf", alert.alert_id)
    ]
    assert await vision.record.audit_notes(9) == []
