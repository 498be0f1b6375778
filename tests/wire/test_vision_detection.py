"""DetectProducts of vision over real gRPC."""

import pytest

from servicekit.errors import Code, FailedPrecondition
from sightline.common.v1 import filter_pb2
from sightline.vision.v1 import detection_service_pb2 as pb
from tests.waiting import until
from tests.wire.detection_shop import suite
from tests.wire.gateway_calls import refused
from vision.servicer.detection import DETECTIONS

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
        ({"image": b"text"}, "IMAGE_UNDECODABLE", "image"),
        ({"image_uri": "ftp://x"}, "REQUEST_INVALID", "image_uri"),
        ({"image": b"shelf", "max_detections": 301}, "REQUEST_INVALID", "max_detections"),
        ({"image": b"shelf", "min_probability": 1.5}, "REQUEST_INVALID", "min_probability"),
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


async def test_what_it_took_is_in_the_answer(suite):
    request = pb.DetectProductsRequest(image=b"shelf", min_probability=0.0)
    request.heat_maps.max_heat_maps = 2
    found = await suite.detection.DetectProducts(request)
    assert found.embedded_view_count == 6
    assert found.decoding_time.ToMilliseconds() == 10 + 2 * 20


async def test_the_time_that_is_left_is_kept_to_report_a_failure(suite):
    suite.embedder.script.hang.add("EmbedRegions")
    request = pb.DetectProductsRequest(image=b"shelf")
    error = await refused(suite.detection.DetectProducts(request, timeout=0.5))
    assert error.code is Code.DEADLINE_EXCEEDED
    (seen,) = [each for each in suite.embedder.script.seen if each.method == "EmbedRegions"]
    assert seen.seconds_left < 0.49


@pytest.mark.parametrize(
    ("peer", "method"),
    [("embedder", "EmbedRegions"), ("retriever", "Search"), ("embedder", "ComparePhotos")],
)
async def test_a_caller_that_leaves_ends_what_runs_for_it(suite, peer, method):
    script = getattr(suite, peer).script
    script.hang.add(method)
    request = pb.DetectProductsRequest(image=b"shelf", min_probability=0.0, heat_maps={})
    call = suite.detection.DetectProducts(request)
    await until(lambda: script.requests(method))
    call.cancel()
    await script.cancelled.wait()


async def test_without_the_embedder_the_call_says_so(suite):
    await suite.embedder.down()
    error = await refused(suite.detection.DetectProducts(pb.DetectProductsRequest(image=b"x")))
    assert error.reason == "EMBEDDER_UNAVAILABLE"


async def test_an_address_that_can_not_be_fetched_is_named(suite):
    gone = FailedPrecondition("the host answered 404", reason="URI_UNREADABLE")
    suite.embedder.script.errors["EmbedRegions"] = gone
    request = pb.DetectProductsRequest(image_uri="https://photos.test/gone.jpg")
    error = await refused(suite.detection.DetectProducts(request))
    assert (error.reason, error.violations[0].field) == ("URI_UNREADABLE", "image_uri")
