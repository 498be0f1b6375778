"""DetectProducts: from a photo to counted products."""

import contextlib
from dataclasses import replace

import pytest

from gateway.detect.detect import detect_products
from gateway.detect.matching import probability
from gateway.model.detections import MOST_DETECTIONS, DetectionQuery
from gateway.model.errors import ImageRefused
from gateway.model.filters import CallersFilter
from gateway.model.price import DETECTION_VIEW
from gateway.model.query import ALONE, Signal, SignalKind
from servicekit import deadlines
from servicekit.admission import quotas
from servicekit.admission.quotas import CallerUsage, QuotaKind
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid
from sightline.common.v1.photo_pb2 import Box
from sightline_core.degradations import DegradationCause
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import SPACE

SECONDS = QuotaKind.PROCESSOR_SECONDS
QUERY = DetectionQuery("default", Signal(ALONE, SignalKind.IMAGE, image=b"shelf"))


def box(left: float, top: float = 0.0) -> Box:
    return Box(left=left, top=top, right=left + 0.1, bottom=top + 0.4)


@pytest.fixture
def shop() -> Shop:
    """Return a shop whose photo shows p1 twice, p2, and an object that is not in the catalog."""
    shop = Shop()
    shop.embedder.regions[b"shelf"] = (box(0.5), box(0.1), box(0.3), box(0.1, 0.5))
    nearest = (
        {"p1": 0.95, "p2": 0.3},
        {"p2": 0.9, "p3": 0.4},
        {"p1": 0.93, "p2": 0.35},
        {"p3": 0.2},
    )
    for place, near in enumerate(nearest):
        shop.retriever.nearest[place.to_bytes(4, "little")] = near
    return shop


async def test_products_are_counted_and_read_from_left_to_right(shop: Shop) -> None:
    found = await detect_products(QUERY, shop.deps)
    assert [each.product_id for each in found.detections] == ["p2", "p1", "p1", ""]
    assert found.counts == [("p1", 2), ("p2", 1)]
    assert found.unknown_count == 1
    assert [row.product_id for row in found.rows] == ["p1", "p2"]
    assert found.space is not None
    assert not found.truncated
    assert not found.degradations
    assert {each.stage for each in found.timings} == {"embed", "retrieve", "hydrate"}


async def test_what_is_not_probable_enough_is_named_as_an_alternative(shop: Shop) -> None:
    found = await detect_products(replace(QUERY, min_probability=1.0), shop.deps)
    assert found.unknown_count == 4
    first = found.detections[0]
    assert [each.product_id for each in first.alternatives] == ["p2", "p3"]
    assert first.probability == pytest.approx(probability(0.9, 0.5 / 0.6, 0.9))
    assert first.matched_image_id == "image of p2"


async def test_a_photo_without_products_has_an_empty_answer(shop: Shop) -> None:
    shop.embedder.regions.clear()
    found = await detect_products(QUERY, shop.deps)
    assert (found.detections, found.counts, found.rows) == ([], [], ())


async def test_more_objects_than_were_asked_for_are_reported(shop: Shop) -> None:
    found = await detect_products(replace(QUERY, max_detections=2), shop.deps)
    assert found.truncated
    assert len(found.detections) == 2


async def test_objects_that_are_too_small_to_be_counted_are_reported(shop: Shop) -> None:
    assert not (await detect_products(QUERY, shop.deps)).small
    shop.embedder.small = True
    assert (await detect_products(QUERY, shop.deps)).small


async def test_one_product_300_times_is_counted_300_times() -> None:
    shop = Shop()
    shop.embedder.regions[b"shelf"] = tuple(
        Box(left=x / 20, top=y / 15, right=(x + 1) / 20, bottom=(y + 1) / 15)
        for y in range(15)
        for x in range(20)
    )
    for place in range(MOST_DETECTIONS):
        shop.retriever.nearest[place.to_bytes(4, "little")] = {"p1": 0.97}
    found = await detect_products(replace(QUERY, max_detections=300), shop.deps)
    assert found.counts == [("p1", 300)]


async def test_objects_that_look_alike_are_searched_and_charged_once(shop: Shop) -> None:
    searches, seconds = [], []
    for alike in (False, True):
        shop.embedder.alike = alike
        shop.retriever.calls.clear()
        usage = CallerUsage({SECONDS: 1e-9}, 1e10, lambda: 0.0)
        held = quotas.account.set(usage)
        found = await detect_products(QUERY, shop.deps)
        quotas.account.reset(held)
        searches.append([name for name, _ in shop.retriever.calls].count("search"))
        seconds.append(10.0 - usage._buckets[SECONDS]._level)
    assert found.counts == [("p1", 4)]
    assert searches == [4, 1]
    assert seconds[0] - seconds[1] == pytest.approx(6 * DETECTION_VIEW)


async def test_the_photo_is_embedded_again_for_the_version_in_the_index(shop: Shop) -> None:
    shop.embedder.served = ("v1", "v2")
    shop.retriever.active = [SPACE._replace(version="v2")]
    found = await detect_products(QUERY, shop.deps)
    assert shop.embedder.versions == ["", "v2"]
    assert found.counts == [("p1", 2), ("p2", 1)]


async def test_a_search_that_fails_beside_others_costs_its_detection_alone(shop: Shop) -> None:
    shop.retriever.broken[(1).to_bytes(4, "little")] = Unavailable("no", reason="INDEX_UNAVAILABLE")
    found = await detect_products(QUERY, shop.deps)
    assert found.counts == [("p1", 2)]
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("retrieve", DegradationCause.INDEX_UNAVAILABLE)


async def test_without_the_retriever_the_boxes_remain(shop: Shop) -> None:
    shop.retriever.fails["search"] = Unavailable("no", reason="RETRIEVER_UNREACHABLE")
    found = await detect_products(QUERY, shop.deps)
    assert len(found.detections) == 4
    assert (found.counts, found.unknown_count) == ([], 4)
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("retrieve", DegradationCause.RETRIEVER_UNAVAILABLE)
    assert [name for name, _ in shop.retriever.calls] == ["search"]


async def test_products_are_searched_under_the_filter_of_the_request(shop: Shop) -> None:
    cheap = replace(QUERY, filter=CallersFilter("f", b"f", names_availability=False))
    await detect_products(cheap, shop.deps)
    assert len(shop.retriever.scopes) == 5
    assert {scope.filter for scope in shop.retriever.scopes} == {cheap.filter}


async def test_what_the_embedder_refuses_is_reported_with_its_field(shop: Shop) -> None:
    shop.embedder.fails = InvalidArgument("no", reason="IMAGE_UNDECODABLE")
    with pytest.raises(ImageRefused) as caught:
        await detect_products(QUERY, shop.deps)
    assert [each.field for each in caught.value.violations] == ["image"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"photo": Signal(ALONE, SignalKind.NOTHING)}, "photo"),
        ({"min_probability": 1.1}, "min_probability"),
        ({"min_probability": float("nan")}, "min_probability"),
        ({"max_detections": 301}, "max_detections"),
        ({"max_detections": -1}, "max_detections"),
        ({"priority": 9}, "priority"),
    ],
)
async def test_invalid_fields_are_named(shop: Shop, changed: dict[str, object], field: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        await detect_products(replace(QUERY, **changed), shop.deps)  # type: ignore[arg-type]
    assert [each.field for each in caught.value.violations] == [field]


async def test_an_unknown_catalog_is_rejected(shop: Shop) -> None:
    with pytest.raises(CatalogNotFound):
        await detect_products(replace(QUERY, catalog_id="none"), shop.deps)


@pytest.mark.parametrize(
    ("given", "longest", "used"),
    [
        (None, None, 2.0),
        (None, 60.0, 60.0),
        (30.0, None, 10.0),
        (30.0, 60.0, 30.0),
        (90.0, 60.0, 60.0),
    ],
)
def test_finding_products_may_take_longer_than_other_requests(
    shop: Shop, given: float | None, longest: float | None, used: float
) -> None:
    deps = replace(shop.deps, default_seconds=2.0, longest_seconds=10.0, reserve_seconds=0.0)
    around = contextlib.nullcontext() if given is None else deadlines.within(given)
    with around, deps.in_time(longest):
        left = deadlines.remaining()
    assert left is not None
    assert used - 1 < left <= used
