"""DetectProducts: from a photo to counted products."""

from dataclasses import replace

import pytest

from servicekit.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, Unavailable
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1.filter_pb2 import Filter
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import MOST_DETECTIONS, probability
from tests.fakes.vision_detection import DetectionShop
from vision.detection.validate import check
from vision.domain.detections import DegradationCause, DetectionQuery, SentPhoto
from vision.domain.errors import EmbedderUnavailable, RetrieverUnavailable

QUERY = DetectionQuery("default", SentPhoto(b"shelf"))


def box(left: float, top: float = 0.0) -> PhotoArea:
    return PhotoArea(left, top, left + 0.1, top + 0.4)


@pytest.fixture
def shop() -> DetectionShop:
    """Return a shop whose photo shows p1 twice, p2, and an object that is not in the catalog."""
    shop = DetectionShop()
    shop.embedder.regions[b"shelf"] = (box(0.5), box(0.1), box(0.3), box(0.1, 0.5))
    shop.retriever.nearest_to = {
        0: {"p1": 0.95, "p2": 0.3},
        1: {"p2": 0.9, "p3": 0.4},
        2: {"p1": 0.93, "p2": 0.35},
        3: {"p3": 0.2},
    }
    return shop


async def test_products_are_counted_and_read_from_left_to_right(shop: DetectionShop) -> None:
    found = await shop.detect(QUERY)
    assert [each.product_id for each in found.detections] == ["p2", "p1", "p1", ""]
    assert found.counts == [("p1", 2), ("p2", 1)]
    assert found.unknown_count == 1
    assert [each.product_id for each in found.products] == ["p1", "p2"]
    assert found.space is not None
    assert not found.truncated
    assert not found.degradations
    assert {each.name for each in shop.stages.finished} == {"embed", "retrieve", "hydrate"}
    assert shop.stages.decoding_seconds == 0.25


async def test_what_is_not_probable_enough_is_named_as_an_alternative(shop: DetectionShop) -> None:
    found = await shop.detect(replace(QUERY, min_probability=1.0))
    assert found.unknown_count == 4
    first = found.detections[0]
    assert [each.product_id for each in first.alternatives] == ["p2", "p3"]
    assert first.probability == pytest.approx(probability(0.9, 0.5 / 0.6, 0.9))
    assert first.matched_image_id == "image of p2"


async def test_a_photo_without_products_has_an_empty_answer(shop: DetectionShop) -> None:
    shop.embedder.regions.clear()
    found = await shop.detect(QUERY)
    assert (found.detections, found.counts, found.products) == ([], [], ())


async def test_more_objects_than_were_asked_for_are_reported(shop: DetectionShop) -> None:
    found = await shop.detect(replace(QUERY, max_detections=2))
    assert found.truncated
    assert len(found.detections) == 2


async def test_objects_that_are_too_small_to_be_counted_are_reported(shop: DetectionShop) -> None:
    assert not (await shop.detect(QUERY)).small
    shop.embedder.small = True
    assert (await shop.detect(QUERY)).small


async def test_one_product_300_times_is_counted_300_times() -> None:
    shop = DetectionShop()
    shop.embedder.regions[b"shelf"] = tuple(
        PhotoArea(x / 20, y / 15, (x + 1) / 20, (y + 1) / 15) for y in range(15) for x in range(20)
    )
    shop.retriever.nearest_to = {number: {"p1": 0.97} for number in range(MOST_DETECTIONS)}
    found = await shop.detect(replace(QUERY, max_detections=300))
    assert found.counts == [("p1", 300)]


async def test_objects_that_look_alike_are_searched_once(shop: DetectionShop) -> None:
    searches, views = [], []
    for alike in (False, True):
        shop.embedder.alike = alike
        shop.retriever.calls.clear()
        found = await shop.detect(QUERY)
        searches.append(shop.retriever.calls.count("nearest"))
        views.append(found.embedded_views)
    assert found.counts == [("p1", 4)]
    assert (searches, views) == ([4, 1], [8, 2])


async def test_the_photo_is_embedded_in_the_version_that_the_index_has(shop: DetectionShop) -> None:
    shop.retriever.indexed = ["v2"]
    found = await shop.detect(QUERY)
    assert shop.embedder.versions == ["v2"]
    assert found.counts == [("p1", 2), ("p2", 1)]


async def test_a_version_that_is_activated_meanwhile_is_embedded_once_more(
    shop: DetectionShop,
) -> None:
    shop.retriever.indexed = ["v1", "v2"]
    found = await shop.detect(QUERY)
    assert shop.embedder.versions == ["v1", "v2"]
    assert found.counts == [("p1", 2), ("p2", 1)]
    assert not found.degradations


async def test_a_search_that_fails_beside_others_costs_its_detection_alone(
    shop: DetectionShop,
) -> None:
    shop.retriever.broken[1] = Unavailable("no", reason="INDEX_UNAVAILABLE")
    found = await shop.detect(QUERY)
    assert found.counts == [("p1", 2)]
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("retrieve", DegradationCause.INDEX_UNAVAILABLE)


async def test_without_the_retriever_the_boxes_remain(shop: DetectionShop) -> None:
    for method in ("references", "nearest"):
        shop.retriever.fails[method] = RetrieverUnavailable()
    found = await shop.detect(QUERY)
    assert len(found.detections) == 4
    assert (found.counts, found.unknown_count) == ([], 4)
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("retrieve", DegradationCause.RETRIEVER_UNAVAILABLE)
    assert shop.retriever.calls == ["references", "nearest"], "the others are not tried"


async def test_searches_that_are_late_leave_objects_without_products(shop: DetectionShop) -> None:
    shop.retriever.fails["nearest"] = DeadlineExceeded("late", reason="DEADLINE_EXCEEDED")
    found = await shop.detect(QUERY)
    assert found.unknown_count == 4
    assert [each.cause for each in found.degradations] == [DegradationCause.STAGE_DEADLINE]


async def test_before_photos_are_indexed_the_boxes_remain(shop: DetectionShop) -> None:
    shop.retriever.indexed = []
    shop.retriever.fails["nearest"] = FailedPrecondition("none", reason="SPACE_UNAVAILABLE")
    found = await shop.detect(QUERY)
    assert found.unknown_count == 4
    assert [each.cause for each in found.degradations] == [DegradationCause.SPACE_UNAVAILABLE]


async def test_products_are_searched_under_the_filter_of_the_request(shop: DetectionShop) -> None:
    cheap = replace(QUERY, filter=Filter(market_id="m"))
    await shop.detect(cheap)
    assert shop.retriever.filters == [cheap.filter] * 5


async def test_a_filter_that_is_none_is_the_callers_error(shop: DetectionShop) -> None:
    shop.retriever.fails["nearest"] = InvalidArgument("no", reason="FILTER_INVALID")
    with pytest.raises(InvalidArgument):
        await shop.detect(QUERY)


async def test_without_the_embedder_nothing_can_be_answered(shop: DetectionShop) -> None:
    shop.embedder.fails = EmbedderUnavailable()
    with pytest.raises(EmbedderUnavailable):
        await shop.detect(QUERY)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"photo": SentPhoto(name="photo")}, "photo"),
        ({"photo": SentPhoto(uri="ftp://x", name="image_uri")}, "image_uri"),
        ({"photo": SentPhoto(uri="https://x/" + "x" * 2_048, name="image_uri")}, "image_uri"),
        ({"min_probability": 1.1}, "min_probability"),
        ({"min_probability": float("nan")}, "min_probability"),
        ({"max_detections": 301}, "max_detections"),
        ({"max_detections": -1}, "max_detections"),
        ({"priority": 9}, "priority"),
    ],
)
def test_invalid_fields_are_named(changed: dict[str, object], field: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        check(replace(QUERY, **changed))  # type: ignore[arg-type]
    assert [each.field for each in caught.value.violations] == [field]
