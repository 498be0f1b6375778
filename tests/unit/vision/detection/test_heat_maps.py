"""Heat maps of detections: which are drawn, and what is lost when some fail."""

from dataclasses import replace

import pytest

from servicekit import deadlines
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.photo_areas import PhotoArea
from tests.fakes.vision_detection import DetectionShop
from vision.detection.validate import check
from vision.domain.detections import DegradationCause, DetectionQuery, HeatMapChoice, SentPhoto

QUERY = DetectionQuery("default", SentPhoto(b"shelf"), heat_maps=HeatMapChoice())


@pytest.fixture
def shop() -> DetectionShop:
    """Return a shop whose photo shows, from the left: p1, p2, p1, and an unknown object."""
    shop = DetectionShop()
    lefts = (0.1, 0.3, 0.5, 0.7)
    shop.embedder.regions[b"shelf"] = tuple(PhotoArea(left, 0.0, left + 0.1, 0.4) for left in lefts)
    nearest = ({"p1": 0.95}, {"p2": 0.95}, {"p1": 0.94}, {"p3": 0.2})
    shop.retriever.nearest_to = dict(enumerate(nearest))
    return shop


async def drawn(shop: DetectionShop, choice: HeatMapChoice) -> list[int]:
    """Return the places of the detections that have a heat map."""
    return sorted((await shop.detect(replace(QUERY, heat_maps=choice))).heat_maps)


async def test_each_product_is_compared_with_the_photo_that_matched(shop: DetectionShop) -> None:
    found = await shop.detect(QUERY)
    assert [each.product_id for each in found.detections] == ["p1", "p2", "p1", ""]
    assert sorted(found.heat_maps) == [0, 1, 2]
    assert not found.degradations
    assert "heat_maps" in {each.name for each in shop.stages.finished}
    assert sorted(shop.embedder.compared) == [
        (0.1, b"file of image of p1", "v1"),
        (0.3, b"file of image of p2", "v1"),
        (0.5, b"file of image of p1", "v1"),
    ]
    assert shop.retriever.calls.count("photo") == 2
    assert shop.stages.decoding_seconds == 0.25 + 3 * 0.5


async def test_without_a_request_none_is_drawn(shop: DetectionShop) -> None:
    await shop.detect(replace(QUERY, heat_maps=None))
    assert not shop.embedder.compared
    assert "heat_maps" not in {each.name for each in shop.stages.finished}


async def test_products_and_their_number_are_chosen(shop: DetectionShop) -> None:
    assert await drawn(shop, HeatMapChoice(("p1",))) == [0, 2]
    assert await drawn(shop, HeatMapChoice(("p1",), 1)) == [0]
    assert await drawn(shop, HeatMapChoice((), 2)) == [0, 1]
    assert await drawn(shop, HeatMapChoice(("p9",))) == []


async def test_a_heat_map_that_fails_costs_itself_alone(shop: DetectionShop) -> None:
    shop.embedder.incomparable[0] = Unavailable("no", reason="EMBEDDER_UNAVAILABLE")
    found = await shop.detect(QUERY)
    assert len(found.heat_maps) == 2
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("heat_maps", DegradationCause.EMBEDDER_UNAVAILABLE)


async def test_a_photo_that_was_deleted_has_no_heat_map(shop: DetectionShop) -> None:
    shop.retriever.fails["photo"] = NotFound("gone", reason="IMAGE_NOT_FOUND")
    found = await shop.detect(QUERY)
    assert not found.heat_maps
    assert not found.degradations


async def test_photos_that_can_not_be_read_are_reported_once(shop: DetectionShop) -> None:
    shop.retriever.fails["photo"] = Unavailable("no", reason="RETRIEVER_UNAVAILABLE")
    found = await shop.detect(QUERY)
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("heat_maps", DegradationCause.RETRIEVER_UNAVAILABLE)


async def test_heat_maps_that_are_late_do_not_cost_the_detections(shop: DetectionShop) -> None:
    shop.embedder.incomparable[1] = None
    with deadlines.within(2.0):
        found = await shop.detect(QUERY)
    assert found.counts == [("p1", 2), ("p2", 1)]
    assert 0 < len(found.heat_maps) < 3
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("heat_maps", DegradationCause.STAGE_DEADLINE)


@pytest.mark.parametrize(
    "error",
    [
        FailedPrecondition("no positions", reason="HEAT_MAP_UNAVAILABLE"),
        InvalidArgument("no", reason="CALLERS"),
    ],
)
async def test_what_no_repetition_changes_is_raised(
    shop: DetectionShop, error: FailedPrecondition
) -> None:
    shop.embedder.incomparable[0] = error
    with pytest.raises(type(error)) as caught:
        await shop.detect(QUERY)
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
def test_invalid_fields_are_named(choice: HeatMapChoice, field: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        check(replace(QUERY, heat_maps=choice))
    assert [each.field for each in caught.value.violations] == [field]
