"""DetectProducts at the gateway: passed on to the service of cameras, for the roles that may, and
charged."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import grpc
import pytest

from servicekit.admission import quotas
from servicekit.admission.quotas import QuotaKind, Quotas
from servicekit.errors import Code, InvalidArgument
from servicekit.status import from_rpc_error
from sightline.vision.v1 import detection_service_pb2 as pb
from tests.fakes.gateway_wire import running
from tests.fakes.gateway_wire_vision import Detecting
from tests.fakes.quotas import Usage
from tests.wire.gateway_calls import refused, suite

__all__ = ["suite"]  # fixtures


def asked(**fields) -> pb.DetectProductsRequest:
    return pb.DetectProductsRequest(**{"image": b"shelf", **fields})


async def test_products_are_found_by_the_service_of_cameras(suite):
    request = asked(max_detections=7, plan={"products": [{"product_id": "p1", "facings": 2}]})
    found = await suite.detection.DetectProducts(request)
    assert [each.product_id for each in found.detections] == ["p1", ""]
    (sent,) = suite.vision.script.requests("DetectProducts")
    assert (sent.catalog_id, sent.plan, sent.image) == ("default", request.plan, b"shelf")
    assert suite.embedder.script.requests("EmbedRegions") == []


async def test_its_errors_are_the_callers(suite):
    suite.vision.script.errors["DetectProducts"] = InvalidArgument("no", reason="PLAN_INVALID")
    assert (await refused(suite.detection.DetectProducts(asked()))).reason == "PLAN_INVALID"
    await suite.vision.down()
    assert (await refused(suite.detection.DetectProducts(asked()))).reason == "VISION_UNAVAILABLE"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"catalog_id": "none"}, "CATALOG_NOT_FOUND"),
        ({"request_id": "r" * 129}, "REQUEST_INVALID"),
    ],
)
async def test_what_every_request_has_is_checked_before_it_is_passed_on(suite, fields, reason):
    error = await refused(suite.detection.DetectProducts(asked(**fields)))
    assert error.reason == reason
    assert suite.vision.script.requests("DetectProducts") == []


async def test_too_many_entries_of_a_plan_are_rejected_before_they_are_read(suite):
    plan = {"products": [{"product_id": f"p{n}", "facings": 1} for n in range(301)]}
    error = await refused(suite.detection.DetectProducts(asked(plan=plan)))
    assert "plan" in str(error)
    assert suite.vision.script.requests("DetectProducts") == []


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """Return a file with the key of a camera, CAMERA."""
    keys, digest = tmp_path / "keys.toml", sha256(CAMERA.encode()).hexdigest()
    keys.write_text(
        f'[[keys]]\nname = "camera"\nsha256 = "{digest}"\nroles = ["detect"]\ncatalogs = ["*"]\n'
    )
    return keys


CAMERA = "a" * 40


@pytest.mark.parametrize("part", ["heat_maps", "stock"])
async def test_a_cameras_token_sees_no_photos_of_products_and_no_sales(camera, part):
    metadata = [("authorization", f"Bearer {CAMERA}")]
    async with running(keys_file=camera) as suite:
        request = asked()
        assert (await suite.detection.DetectProducts(request, metadata=metadata)).detections
        getattr(request, part).SetInParent()
        error = await refused(suite.detection.DetectProducts(request, metadata=metadata))
        assert error.reason == "ROLE_MISSING"
        assert len(suite.vision.script.requests("DetectProducts")) == 1


async def test_a_call_is_charged_for_what_it_asks_and_then_for_what_it_took(suite, monkeypatch):
    usage = Usage()
    monkeypatch.setattr(Quotas, "enter", lambda *_, **__: quotas.account.set(usage))
    await suite.detection.DetectProducts(asked(max_detections=7, heat_maps={"max_heat_maps": 3}))
    assert usage.reserved == [pytest.approx(0.28 + 7 * 0.027 + 3 * 0.2)]
    decoding = [each for kind, each in usage.spent if kind is QuotaKind.DECODE_SECONDS]
    assert decoding == [pytest.approx(0.1)]
    ((_, corrected),) = [each for each in usage.spent if each[0] is QuotaKind.PROCESSOR_SECONDS]
    assert corrected == pytest.approx(Detecting.SECONDS - usage.reserved[0], abs=0.2)


async def test_without_the_service_of_cameras_the_call_says_how_to_start_it():
    async with running(vision_target="") as suite:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await suite.detection.DetectProducts(asked())
        error = from_rpc_error(raised.value)
        assert (error.code, error.reason) == (Code.UNIMPLEMENTED, "VISION_ABSENT")
        assert "make up VISION=1" in error.message
        assert suite.vision.script.requests("DetectProducts") == []
