"""DetectProducts over real gRPC and HTTP's contract."""

from hashlib import sha256
from pathlib import Path

import pytest

from gateway.servicer.detection import DETECTIONS
from servicekit.errors import FailedPrecondition
from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import detection_service_pb2 as pb
from tests.fakes.gateway_wire import running
from tests.wire.gateway_calls import refused, suite

__all__ = ["suite"]  # fixtures


async def test_the_products_of_a_photo_are_found_counted_and_returned(suite):
    found = await suite.detection.DetectProducts(
        pb.DetectProductsRequest(image=b"shelf", request_id="req-1", min_probability=0.0)
    )
    assert [each.product_id for each in found.detections] == ["p1"] * 3
    assert [each.box.left for each in found.detections] == [0, 0.25, 0.5]
    assert [(each.product_id, each.count) for each in found.counts] == [("p1", 3)]
    assert [each.title for each in found.products] == ["Title p1"]
    assert found.detections[0].alternatives[0].product_id != "p1"
    assert 0 < found.detections[0].probability < 1
    assert (found.space.space, found.space.generation) == ("visual", "g1")
    assert found.request_id == "req-1"
    assert {each.stage for each in found.stage_timings} == {"embed", "retrieve", "hydrate"}


async def test_without_enough_probability_objects_are_unknown(suite):
    request = pb.DetectProductsRequest(image=b"shelf", min_probability=1.0, max_detections=2)
    found = await suite.detection.DetectProducts(request)
    assert (found.unknown_count, len(found.counts), found.truncated) == (2, 0, True)
    assert found.small_objects
    assert [each.product_id for each in found.detections] == ["", ""]
    assert found.detections[0].alternatives[0].product_id == "p1"


async def test_found_objects_are_counted_by_outcome(suite):
    def counts() -> list[float]:
        return [DETECTIONS.labels(each)._value.get() for each in ("named", "unknown")]

    named, unknown = counts()
    for least in (0.0, 1.0):
        request = pb.DetectProductsRequest(image=b"shelf", min_probability=least)
        await suite.detection.DetectProducts(request)
    assert counts() == [named + 3, unknown + 3]


async def test_a_photo_without_products_is_an_empty_answer(suite):
    found = await suite.detection.DetectProducts(pb.DetectProductsRequest(image=b"empty"))
    assert not found.detections
    assert found.unknown_count == 0


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({}, "REQUEST_INVALID", "photo"),
        ({"image": b""}, "IMAGE_UNDECODABLE", "image"),
        ({"image": b"text"}, "IMAGE_UNDECODABLE", "image"),
        ({"image_uri": "ftp://x"}, "REQUEST_INVALID", "image_uri"),
        ({"image": b"shelf", "max_detections": 301}, "REQUEST_INVALID", "max_detections"),
        ({"image": b"shelf", "min_probability": 1.5}, "REQUEST_INVALID", "min_probability"),
        ({"image": b"shelf", "request_id": "r" * 129}, "REQUEST_INVALID", "request_id"),
        (
            {"image": b"shelf", "heat_maps": {"max_heat_maps": 21}},
            "REQUEST_INVALID",
            "heat_maps.max_heat_maps",
        ),
        (
            {"image": b"shelf", "heat_maps": {"product_ids": ["p1", "a\x00"]}},
            "REQUEST_INVALID",
            "heat_maps.product_ids[1]",
        ),
    ],
)
async def test_bad_input_is_rejected_with_its_field(suite, fields, reason, field):
    error = await refused(suite.detection.DetectProducts(pb.DetectProductsRequest(**fields)))
    assert (error.reason, error.violations[0].field) == (reason, field)


async def test_an_unknown_field_of_a_filter_is_the_callers_error(suite):
    comparison = filter_pb2.Comparison(field="colour")
    request = pb.DetectProductsRequest(
        image=b"shelf", filter=filter_pb2.Filter(comparison=comparison)
    )
    error = await refused(suite.detection.DetectProducts(request))
    assert error.reason == "FILTER_INVALID"


async def test_an_unknown_catalog_is_rejected(suite):
    request = pb.DetectProductsRequest(image=b"shelf", catalog_id="none")
    assert (await refused(suite.detection.DetectProducts(request))).reason == "CATALOG_NOT_FOUND"


async def test_heat_maps_are_drawn_of_the_photo_that_matched_in_the_version_that_was_searched(
    suite,
):
    request = pb.DetectProductsRequest(
        image=b"shelf",
        min_probability=0.0,
        heat_maps=pb.DetectionHeatMapsRequest(product_ids=["p1"], max_heat_maps=2),
    )
    found = await suite.detection.DetectProducts(request)
    assert [each.HasField("heat_map") for each in found.detections] == [True, True, False]
    drawn = found.detections[1].heat_map
    assert (drawn.png, drawn.similarity, drawn.unplaced) == (b"png", 0.5, 0.125)
    assert "heat_maps" in {each.stage for each in found.stage_timings}
    assert not found.degradations
    sent = suite.embedder.script.requests("ComparePhotos")
    assert [each.first.box for each in sent] == [each.box for each in found.detections[:2]]
    assert {each.first.space_version for each in sent} == {"v1"}
    assert all(each.first_is_region for each in sent)
    (photo,) = suite.retriever.script.requests("GetImage")
    assert photo.image_id == found.detections[0].matched_image_id


async def test_no_heat_map_is_drawn_unless_it_is_requested(suite):
    request = pb.DetectProductsRequest(image=b"shelf", min_probability=0.0)
    found = await suite.detection.DetectProducts(request)
    assert not any(each.HasField("heat_map") for each in found.detections)
    assert suite.embedder.script.requests("ComparePhotos") == []


async def test_a_space_without_positions_has_no_heat_maps(suite):
    error = FailedPrecondition("no positions", reason="HEAT_MAP_UNAVAILABLE")
    suite.embedder.script.errors["ComparePhotos"] = error
    request = pb.DetectProductsRequest(image=b"shelf", min_probability=0.0)
    request.heat_maps.SetInParent()
    caught = await refused(suite.detection.DetectProducts(request))
    assert caught.reason == "HEAT_MAP_UNAVAILABLE"


async def test_a_cameras_token_has_no_heat_maps_drawn(tmp_path: Path):
    camera, keys = "a" * 40, tmp_path / "keys.toml"
    digest = sha256(camera.encode()).hexdigest()
    keys.write_text(
        f'[[keys]]\nname = "camera"\nsha256 = "{digest}"\nroles = ["detect"]\ncatalogs = ["*"]\n'
    )
    metadata = [("authorization", f"Bearer {camera}")]
    async with running(keys_file=keys) as suite:
        request = pb.DetectProductsRequest(image=b"shelf", min_probability=0.0)
        assert (await suite.detection.DetectProducts(request, metadata=metadata)).detections
        request.heat_maps.SetInParent()
        error = await refused(suite.detection.DetectProducts(request, metadata=metadata))
        assert error.reason == "ROLE_MISSING"
        assert suite.embedder.script.requests("ComparePhotos") == []
