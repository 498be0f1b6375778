"""Heat maps of detections: which are drawn, and what is lost when some fail."""

from dataclasses import replace

import pytest

from gateway.detect.detect import detect_products
from gateway.model.detections import DetectionQuery, HeatMapChoice
from gateway.model.query import ALONE, Signal, SignalKind
from servicekit import deadlines
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1.photo_pb2 import Box
from sightline_core.degradations import DegradationCause
from tests.fakes.gateway_peers import Shop

PHOTO = Signal(ALONE, SignalKind.IMAGE, image=b"shelf")
QUERY = DetectionQuery("default", PHOTO, heat_maps=HeatMapChoice())


@pytest.fixture
def shop() -> Shop:
    """Return a shop whose photo shows, from the left: p1, p2, p1, and an unknown object."""
    shop = Shop()
    lefts = (0.1, 0.3, 0.5, 0.7)
    shop.embedder.regions[b"shelf"] = tuple(
        Box(left=left, right=left + 0.1, bottom=0.4) for left in lefts
    )
    nearest = ({"p1": 0.95}, {"p2": 0.95}, {"p1": 0.94}, {"p3": 0.2})
    for place, near in enumerate(nearest):
        shop.retriever.nearest[place.to_bytes(4, "little")] = near
    return shop


async def drawn(shop: Shop, choice: HeatMapChoice) -> list[bool]:
    """Return for each detection whether it has a heat map."""
    found = await detect_products(replace(QUERY, heat_maps=choice), shop.deps)
    return [each.heat_map is not None for each in found.detections]


async def test_each_product_is_compared_with_the_photo_that_matched(shop: Shop) -> None:
    found = await detect_products(QUERY, shop.deps)
    assert [each.product_id for each in found.detections] == ["p1", "p2", "p1", ""]
    assert [each.heat_map is not None for each in found.detections] == [True, True, True, False]
    assert not found.degradations
    assert "heat_maps" in {each.stage for each in found.timings}
    compared = {
        (photo.box.left, other, version)
        for _, photo, other, version in shop.embedder.compared
        if photo.box is not None
    }
    boxes = [each.box.left for each in found.detections]
    assert compared == {
        (boxes[0], b"file of image of p1", "v1"),
        (boxes[1], b"file of image of p2", "v1"),
        (boxes[2], b"file of image of p1", "v1"),
    }
    assert shop.embedder.compared_regions == [True] * 3
    assert [name for name, *_ in shop.retriever.calls].count("photo") == 2


async def test_without_a_request_none_is_drawn(shop: Shop) -> None:
    found = await detect_products(replace(QUERY, heat_maps=None), shop.deps)
    assert not shop.embedder.compared
    assert "heat_maps" not in {each.stage for each in found.timings}


async def test_products_and_their_number_are_chosen(shop: Shop) -> None:
    assert await drawn(shop, HeatMapChoice(("p1",))) == [True, False, True, False]
    assert await drawn(shop, HeatMapChoice(("p1",), 1)) == [True, False, False, False]
    assert await drawn(shop, HeatMapChoice((), 2)) == [True, True, False, False]
    assert await drawn(shop, HeatMapChoice(("p9",))) == [False] * 4


async def test_a_heat_map_that_fails_costs_itself_alone(shop: Shop) -> None:
    shop.embedder.incomparable[0] = Unavailable("no", reason="EMBEDDER_UNAVAILABLE")
    found = await detect_products(QUERY, shop.deps)
    assert sum(each.heat_map is not None for each in found.detections) == 2
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("heat_maps", DegradationCause.EMBEDDER_UNAVAILABLE)


async def test_a_photo_that_was_deleted_has_no_heat_map(shop: Shop) -> None:
    shop.retriever.fails["photo"] = NotFound("gone", reason="IMAGE_NOT_FOUND")
    found = await detect_products(QUERY, shop.deps)
    assert not any(each.heat_map for each in found.detections)
    assert not found.degradations


async def test_photos_that_can_not_be_read_are_reported_once(shop: Shop) -> None:
    shop.retriever.fails["photo"] = Unavailable("no", reason="RETRIEVER_UNAVAILABLE")
    found = await detect_products(QUERY, shop.deps)
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("heat_maps", DegradationCause.RETRIEVER_UNAVAILABLE)


async def test_heat_maps_that_are_late_do_not_cost_the_detections(shop: Shop) -> None:
    shop.embedder.incomparable[1] = None
    with deadlines.within(2.0):
        found = await detect_products(QUERY, shop.deps)
    assert found.counts == [("p1", 2), ("p2", 1)]
    assert 0 < sum(each.heat_map is not None for each in found.detections) < 3
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("heat_maps", DegradationCause.STAGE_DEADLINE)


@pytest.mark.parametrize(
    "error",
    [
        FailedPrecondition("no positions", reason="HEAT_MAP_UNAVAILABLE"),
        InvalidArgument("no", reason="CALLERS"),
    ],
)
async def test_what_no_repetition_changes_is_raised(shop: Shop, error: FailedPrecondition) -> None:
    shop.embedder.incomparable[0] = error
    with pytest.raises(type(error)) as caught:
        await detect_products(QUERY, shop.deps)
    assert caught.value.reason == error.reason


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        (HeatMapChoice(max_heat_maps=21), "heat_maps.max_heat_maps"),
        (HeatMapChoice(max_heat_maps=-1), "heat_maps.max_heat_maps"),
        (HeatMapChoice(("p",) * 21), "heat_maps.product_ids"),
        (HeatMapChoice(("p1", "")), "heat_maps.product_ids[1]"),
    ],
)
async def test_invalid_fields_are_named(shop: Shop, choice: HeatMapChoice, field: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        await drawn(shop, choice)
    assert [each.field for each in caught.value.violations] == [field]
    assert not shop.embedder.versions


def test_no_more_heat_maps_are_paid_than_detections() -> None:
    assert replace(QUERY, max_detections=3).most_heat_maps == 3
    assert QUERY.most_heat_maps == 20
    assert replace(QUERY, heat_maps=None).most_heat_maps == 0
