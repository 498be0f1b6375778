"""Calls of vision that are made again, as after a lost answer, and cancelled at each await."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from servicekit.telemetry import Stages
from sightline.vision.v1 import watch_pb2
from tests.fakes.photos import photo
from tests.fakes.pieces import piece
from tests.stores import Stores
from tests.wire.cancelled_calls import Offered, cancel_all
from tests.wire.repeated_calls import methods, repeat
from tests.wire.test_vision_patches import features, model, models, port
from tests.wire.vision_shop import VisionShop, seeing
from vision.domain import inspection
from vision.inspection import fits
from vision.inspection.fits import ReferencePlan
from vision.record import metadata
from vision.wiring import job_queue

__all__ = ["features", "model", "models", "port"]
RULE = watch_pb2.WatchRule(rule_id="r", fault=watch_pb2.FaultCondition(fault="FAULT_BLACK"))
WATCH = watch_pb2.Watch(watch_id="shelf", rules=[RULE])
SHELF = {"watch_id": "shelf"}
HOOK = {"webhook_id": "hook", "uri": "https://hooks.example.org/sightline"}
PIECES = [piece(seed) for seed in range(12)]
CALLS = (
    ("WatchService/CreateWatch", {"watch": WATCH}),
    ("WatchService/UpdateWatch", {"watch": WATCH}),
    ("WebhookService/CreateWebhook", {**HOOK}),
    ("WebhookService/UpdateWebhook", {**HOOK, "watch_ids": ["shelf"]}),
    ("WebhookService/ReplayDeliveries", {"webhook_id": "hook"}),
    ("WebhookService/DeleteWebhook", {"webhook_id": "hook"}),
    ("WatchService/DeleteWatch", SHELF),
    ("InspectionService/AddReferencePhotos", {"reference_id": "r", "images": PIECES}),
    ("InspectionService/FitReference", {"reference_id": "r"}),
    ("InspectionService/PromoteReference", {"reference_id": "r"}),
    ("InspectionService/DeleteReference", {"reference_id": "r"}),
)
ELSEWHERE = {"WatchService/SendFrames": "unit/vision/watching/test_frames.py"}
"""Calls that are repeated by the tests in these files."""


@pytest.fixture
async def shop(
    stores: Stores,
    tmp_path: Path,
    shared_decoders: None,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[VisionShop]:
    monkeypatch.setattr(inspection, "MOST_PATCHES", 50)  # a fit is not what is tested
    (tmp_path / "keys").write_text(secrets.token_hex(32))
    settings = {
        "VISION_WEBHOOK_KEYS_FILE": str(tmp_path / "keys"),
        "VISION_WEBHOOK_HOSTS": "hooks.example.org",
    }
    async with seeing(stores, tmp_path, embedder=f"127.0.0.1:{port}", **settings) as made:
        yield made


def test_every_call_that_is_made_again_is_made_twice() -> None:
    assert methods("vision").keys() == {name for name, _ in CALLS} | ELSEWHERE.keys()


async def test_a_call_that_is_made_again_has_one_effect(shop: VisionShop) -> None:
    known = methods("vision")
    for name, fields in CALLS:
        await repeat(shop.channel, shop.db, metadata, known[name], dict(fields), ())


@pytest.mark.full
async def test_each_call_can_be_made_again_after_it_was_cancelled(shop: VisionShop) -> None:
    await shop.parts.references.add("default", "s", PIECES, Stages())
    *_, fitted = [each async for each in shop.parts.references.fit("default", "s", "", Stages())]
    assert fitted.fitted is not None
    await shop.parts.references.promote("default", "s", "", force=False)
    job = await fits.ask("default", ReferencePlan("s", ""), job_queue(shop.db), request_id="")
    rows: dict[str, dict[str, Any]] = {
        **dict(CALLS),
        "WatchService/SendFrames": {"frames": [{"image": photo(seed=1)}]},
        "DetectionService/DetectProducts": {"image": photo(seed=1)},
    }
    refused = {"WatchService/GetAlertPhoto": "no frame raised an alert"}
    offered = Offered(shop.offered, shop.settings, catalogs=shop.parts.catalogs)
    rows["InspectionService/Inspect"] = {"reference_id": "s", "image": piece(100)}
    values = {
        **{"watch_id": "shelf", "webhook_id": "hook", "image_id": "a" * 64},
        **{"reference_id": "r", "job_id": f"vision/{job.id}"},
    }
    awaits = await cancel_all(
        offered, values, rows, refused=refused, endless={"WatchService/WatchAlerts"}
    )
    assert {name for name, count in awaits.items() if not count} == set()
