"""The steps of a request about a shelf, over fakes."""

from collections.abc import Sequence

import pytest

from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import photo_pb2
from sightline.vision.v1 import detection_service_pb2 as pb
from sightline.vision.v1 import shelf_pb2
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import Detection, counted
from tests.fakes.vision_detection import DetectionShop
from vision.detection.plan import PlannedProduct, ShelfPlan
from vision.detection.shelf import ShelfQuestion, checked, detect_on_shelf, report
from vision.detection.stock import StockLack, StockRequest
from vision.domain.detections import (
    CountedSales,
    DegradationCause,
    DetectionAnswer,
    DetectionQuery,
    ProductSales,
    SentPhoto,
)
from vision.domain.errors import PlanInvalid, RankerUnavailable, RetrieverUnavailable
from vision.servicer.shelf_plans import add_report, question_of

QUERY = DetectionQuery("default", SentPhoto(b"shelf"))
BOX = PhotoArea(0.1, 0.1, 0.2, 0.2)


def plan(*ids: str) -> ShelfPlan:
    return ShelfPlan([PlannedProduct(item, 1) for item in ids])


def seen(*ids: str) -> DetectionAnswer:
    """Return an answer with these detections."""
    detections: Sequence[Detection] = [Detection(BOX, 0.9, item) for item in ids]
    return DetectionAnswer(detections, counted(detections))


async def test_products_that_can_not_be_found_are_named_by_their_entries() -> None:
    shop = DetectionShop()
    shop.retriever.failing = {"p2": "price < 5"}
    question = ShelfQuestion(plan("p1", "gone", "p2"))

    with pytest.raises(PlanInvalid) as caught:
        await checked(question, QUERY, shop.retriever)

    assert [(each.field, each.description) for each in caught.value.violations] == [
        ("plan.products[1].product_id", "is not in the catalog"),
        ("plan.products[2].product_id", "does not pass the filter (price < 5)"),
    ]


async def test_nothing_is_read_for_a_request_without_a_plan() -> None:
    shop = DetectionShop()

    await checked(ShelfQuestion(stock=StockRequest()), QUERY, shop.retriever)
    found = await report(ShelfQuestion(), QUERY, seen("p1"), shop.ranker)

    assert shop.retriever.calls == []
    assert shop.ranker.asked == []
    assert (found.comparison, found.suggestions) == (None, ())


async def test_an_invalid_request_for_quantities_is_rejected_before_any_call() -> None:
    shop = DetectionShop()
    question = ShelfQuestion(plan("p1"), StockRequest(lead_time_days=-1))

    with pytest.raises(RequestInvalid, match="lead_time_days"):
        await checked(question, QUERY, shop.retriever)

    assert shop.retriever.calls == []


async def test_planned_and_found_products_get_quantities() -> None:
    shop = DetectionShop()
    units = dict.fromkeys(range(20_000, 20_056), 2)
    sold = {item: ProductSales(20_000, units) for item in ("p1", "p2")}
    shop.ranker.sold = CountedSales(20_000, 20_055, sold)
    question = await checked(ShelfQuestion(plan("p1"), StockRequest()), QUERY, shop.retriever)

    found = await report(question, QUERY, seen("p2", "p2", "p2"), shop.ranker)

    assert found.comparison is not None
    assert [(each.product_id, each.on_shelf) for each in found.suggestions] == [
        ("p1", 0),
        ("p2", 3),
    ]
    assert all(each.quantity is not None for each in found.suggestions)


async def test_without_the_ranker_the_comparison_remains_and_quantities_are_missing() -> None:
    shop = DetectionShop()
    shop.ranker.fails = RankerUnavailable()
    question = ShelfQuestion(plan("p1"), StockRequest())

    found = await report(question, QUERY, seen("p1"), shop.ranker)

    assert found.comparison is not None
    assert found.comparison.compliance == 1.0
    assert [each.lack for each in found.suggestions] == [StockLack.UNAVAILABLE]
    (degradation,) = found.degradations
    assert degradation.cause is DegradationCause.RANKER_UNAVAILABLE


def test_a_message_becomes_a_question() -> None:
    box = photo_pb2.Box(left=0.25, top=0.25, right=0.5, bottom=0.5)
    request = pb.DetectProductsRequest(
        plan=shelf_pb2.ShelfPlan(
            products=[
                shelf_pb2.PlannedProduct(
                    product_id="a", facings=2, shelf=shelf_pb2.ShelfPlace(row=1, position=2)
                ),
                shelf_pb2.PlannedProduct(product_id="b", facings=1, box=box),
                shelf_pb2.PlannedProduct(product_id="c"),
            ]
        ),
        stock=shelf_pb2.StockRequest(lead_time_days=3),
    )

    question = question_of(request)

    assert question.plan is not None
    assert [each.facings for each in question.plan.products] == [2, 1, 0]
    assert question.plan.products[1].place == PhotoArea(0.25, 0.25, 0.5, 0.5)
    assert question.stock == StockRequest(3, 0.95, 56)
    assert question_of(pb.DetectProductsRequest()) == ShelfQuestion()


async def test_a_report_becomes_a_message() -> None:
    shop = DetectionShop()
    question = ShelfQuestion(plan("p1", "p2"), StockRequest())
    found = await report(question, QUERY, seen("p1", ""), shop.ranker)
    response = pb.DetectProductsResponse()

    add_report(found, response)

    kinds = [
        shelf_pb2.PlanFinding.Kind.Name(each.kind) for each in response.plan_comparison.findings
    ]
    assert kinds == ["KIND_PRESENT", "KIND_UNIDENTIFIED", "KIND_MISSING"]
    first, second, third = response.plan_comparison.findings
    assert (first.detection, first.planned, first.box.left) == (0, 0, pytest.approx(0.1))
    assert not second.HasField("planned")
    assert (third.HasField("detection"), third.HasField("box"), third.planned) == (False, False, 1)
    assert [each.missing for each in response.plan_comparison.counts] == [0, 1]
    assert response.plan_comparison.compliance == 0.5
    assert [each.lack for each in response.stock_suggestions] == [
        shelf_pb2.StockSuggestion.LACK_DAYS
    ] * 2
    assert not response.stock_suggestions[0].HasField("quantity")


@pytest.fixture
def shelf() -> DetectionShop:
    """Return a shop whose photo shows p1 once."""
    shop = DetectionShop()
    shop.embedder.regions[b"shelf"] = (PhotoArea(0.1, 0.1, 0.2, 0.4),)
    shop.retriever.nearest_to[0] = {"p1": 0.95, "p2": 0.3}
    return shop


async def test_planned_products_that_were_not_found_are_in_the_answer(
    shelf: DetectionShop,
) -> None:
    question = ShelfQuestion(plan("p1", "p2"))

    found, answered = await detect_on_shelf(QUERY, question, shelf.peers, shelf.stages)

    assert [each.product_id for each in found.products] == ["p1"]
    assert [each.product_id for each in answered.missing] == ["p2"]
    assert answered.comparison is not None
    assert answered.comparison.compliance == 0.5


async def test_without_the_record_products_are_given_by_id_alone(shelf: DetectionShop) -> None:
    shelf.retriever.fails["products"] = RetrieverUnavailable()
    question = ShelfQuestion(plan("p1", "p2"))

    found, answered = await detect_on_shelf(QUERY, question, shelf.peers, shelf.stages)

    assert found.detections[0].product_id == "p1"
    assert answered.comparison is not None
    assert answered.missing == ()
    (lost,) = answered.degradations
    assert lost.cause is DegradationCause.RETRIEVER_UNAVAILABLE


async def test_a_photo_that_is_none_is_rejected_before_the_plan_is_read(
    shelf: DetectionShop,
) -> None:
    query = DetectionQuery("default", SentPhoto(name="photo"))

    with pytest.raises(RequestInvalid, match="photo"):
        await detect_on_shelf(query, ShelfQuestion(plan("p1")), shelf.peers, shelf.stages)

    assert shelf.retriever.calls == []
