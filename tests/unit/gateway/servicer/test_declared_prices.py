"""Prices that protos declare: of what a request asks for, and of what earlier ones took."""

from typing import Any

import pytest

from gateway.model.photo_header import decoding_seconds
from gateway.model.price import PHOTO, RequestPrice, detection_price, photo_price
from gateway.servicer.declared_prices import MOST_LEARNED, DeclaredPrice
from servicekit.admission.access import PeerName
from servicekit.rpc import owned
from sightline.common.v1 import price_pb2
from sightline.vision.v1 import detection_service_pb2, inspection_service_pb2, watch_service_pb2
from tests.fakes.photos import avif_header

SMALL, LARGE = avif_header((300, 200)), avif_header((5_000, 5_000))
"""Headers of AVIF photos."""
BEYOND = decoding_seconds(LARGE) - PHOTO
METHODS = {method.name: method for method in owned.methods_of(PeerName.VISION)}
Detect, Frames = detection_service_pb2.DetectProductsRequest, watch_service_pb2.SendFramesRequest
Photos, Watch = (
    inspection_service_pb2.AddReferencePhotosRequest,
    watch_service_pb2.CreateWatchRequest,
)


def declared(name: str) -> DeclaredPrice:
    method = METHODS[name]
    return DeclaredPrice(method.GetOptions().Extensions[price_pb2.price], method.input_type)


def detecting(**fields: Any) -> RequestPrice:
    return declared("DetectProducts").of(Detect(**{"image": SMALL, **fields}))


def frames(count: int, image: bytes = SMALL, **fields: str) -> Any:
    return Frames(**{"watch_id": "shelf", **fields}, frames=[{"image": image}] * count)


@pytest.mark.parametrize("name", METHODS)
def test_a_declared_price_names_fields_that_requests_have(name: str) -> None:
    assert declared(name).of(METHODS[name].input_type._concrete_class()).models == 0


def test_a_field_that_no_request_has_is_refused_at_the_start() -> None:
    request = METHODS["SendFrames"].input_type
    for wrong in ({"path": "frames.photo"}, {"path": "frames", "learned_by": "camera"}):
        with pytest.raises(TypeError, match="no request has"):
            DeclaredPrice(price_pb2.Price(fields=[wrong]), request)


@pytest.mark.parametrize(
    ("fields", "detections", "heat_maps"),
    [
        ({}, 100, 0),
        ({"max_detections": 7, "heat_maps": {"max_heat_maps": 3}}, 7, 3),
        ({"max_detections": 50, "heat_maps": {}}, 50, 20),
        ({"max_detections": 2**31 - 1, "heat_maps": {"max_heat_maps": 2**31 - 1}}, 300, 20),
        ({"max_detections": -1, "heat_maps": {"max_heat_maps": -1}}, 0, 0),
    ],
)
def test_a_photo_of_a_shelf_is_priced_by_what_is_asked_for(
    fields: Any, detections: int, heat_maps: int
) -> None:
    found = detecting(**fields)
    wanted = detection_price(detections).seconds + heat_maps * (photo_price().seconds - 0.02)
    assert found.seconds == pytest.approx(wanted)
    assert found.queue_seconds == pytest.approx(detections * 0.005)
    assert found.is_expensive == (detections > 20)


def test_a_large_photo_is_decoded_for_parts_of_its_objects_and_for_each_heat_map() -> None:
    for detections, heat_maps, decoded in ((31, 0, 2), (62, 0, 3), (31, 2, 4)):
        asked = {"max_detections": detections, "heat_maps": {"max_heat_maps": heat_maps}}
        if not heat_maps:
            del asked["heat_maps"]
        small, large = (detecting(image=each, **asked) for each in (SMALL, LARGE))
        assert large.seconds - small.seconds == pytest.approx(decoded * BEYOND, rel=0.01)
        assert large.queue_seconds == pytest.approx(small.queue_seconds)


def test_photos_of_good_pieces_are_priced_one_by_one() -> None:
    one, many, large = (
        declared("AddReferencePhotos").of(Photos(images=images)).seconds
        for images in ([SMALL], [SMALL] * 16, [LARGE] * 16)
    )
    assert many - one == pytest.approx(15 * 0.1)
    assert large - many == pytest.approx(16 * BEYOND)


def test_a_watch_is_priced_by_the_photos_that_its_rules_look_for() -> None:
    none, two = (
        declared("CreateWatch").of(Watch(watch={"rules": rules})).seconds
        for rules in (
            [{"presence": {"target": {"product_id": "p"}}}, {"fault": {}}],
            [{"presence": {"target": {"image": b"a"}}}, {"count": {"target": {"image": b"b"}}}],
        )
    )
    assert two - none == pytest.approx(0.2)


def test_frames_cost_what_those_of_the_same_watch_took_and_the_declared_price_at_least() -> None:
    price = declared("SendFrames")
    before = price.of(frames(2))
    assert before.seconds == pytest.approx(0.02 + 2 * 0.055)
    assert not before.is_expensive
    price.learn(frames(4), 2.0)
    assert price.of(frames(2)).seconds == pytest.approx(0.02 + 2 * 0.5)
    assert price.of(frames(2, LARGE)).seconds == price.of(frames(2)).seconds, "as it took"
    for others in ({"watch_id": "other"}, {"catalog_id": "other"}):
        assert price.of(frames(2, **others)) == before
        assert price.of(frames(2, LARGE, **others)).seconds > before.seconds + 2 * BEYOND - 0.01
    price.learn(frames(0), 9.0)
    price.learn(frames(4), 0.001)
    assert price.of(frames(2)).seconds == pytest.approx(0.02 + 2 * 0.25), "by half a call at most"
    for _ in range(3):
        price.learn(frames(4), 0.001)
    assert price.of(frames(2)) == before


def test_what_is_learned_is_bounded() -> None:
    price = declared("SendFrames")
    for number in range(MOST_LEARNED + 1):
        price.learn(frames(1, b"x", watch_id=str(number)), 9.0)
    assert price.of(frames(1, b"x", watch_id="0")).seconds < 1
    assert price.of(frames(1, b"x", watch_id="1")).seconds > 9


def test_what_is_learned_again_takes_no_room_of_others() -> None:
    price = declared("SendFrames")
    for number in range(MOST_LEARNED):
        price.learn(frames(1, b"x", watch_id=str(number)), 9.0)
    price.learn(frames(1, b"x", watch_id="1"), 8.0)
    assert price.of(frames(1, b"x", watch_id="0")).seconds > 9
    price.learn(frames(1, b"x", watch_id="0"), 7.0)
    price.learn(frames(1, b"x", watch_id="new"), 7.0)
    assert price.of(frames(1, b"x", watch_id="0")).seconds > 7, "it was used last"
    assert price.of(frames(1, b"x", watch_id="2")).seconds < 1
