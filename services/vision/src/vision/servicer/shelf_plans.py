"""Plans of shelves, comparisons and suggested quantities as messages."""

from servicekit.rpc.messages import MessageWriter, message_of
from sightline.vision.v1 import detection_service_pb2, shelf_pb2
from sightline_rules.photo_areas import PhotoArea
from vision.detection.plan import PlannedProduct, ShelfPlace, ShelfPlan
from vision.detection.plan_comparison import FindingKind, PlanComparison, PlanCount
from vision.detection.shelf import ShelfQuestion, ShelfReport
from vision.detection.stock import StockRequest, StockSuggestion

_DEFAULTS = StockRequest()


def question_of(request: detection_service_pb2.DetectProductsRequest) -> ShelfQuestion:
    """Return what the request asks about its shelf."""
    plan = _plan(request.plan) if request.HasField("plan") else None
    if not request.HasField("stock"):
        return ShelfQuestion(plan)
    asked = StockRequest(
        request.stock.lead_time_days or _DEFAULTS.lead_time_days,
        request.stock.service_level or _DEFAULTS.service_level,
        request.stock.history_days or _DEFAULTS.history_days,
    )
    return ShelfQuestion(plan, asked)


def add_report(report: ShelfReport, response: detection_service_pb2.DetectProductsResponse) -> None:
    """Add the comparison and the quantities to the response."""
    if report.comparison is not None:
        response.plan_comparison.CopyFrom(_comparison(report.comparison))
    response.stock_suggestions.extend(map(_suggestion, report.suggestions))


def _plan(message: shelf_pb2.ShelfPlan) -> ShelfPlan:
    return ShelfPlan(
        [PlannedProduct(each.product_id, each.facings, _place(each)) for each in message.products]
    )


def _place(each: shelf_pb2.PlannedProduct) -> ShelfPlace | PhotoArea | None:
    match each.WhichOneof("place"):
        case "shelf":
            return ShelfPlace(each.shelf.row, each.shelf.position)
        case "box":
            return PhotoArea(each.box.left, each.box.top, each.box.right, each.box.bottom)
        case _:
            return None


def _comparison(found: PlanComparison) -> shelf_pb2.PlanComparison:
    return message_of(shelf_pb2.PlanComparison, found, counts=map(_count, found.counts))


def _count(count: PlanCount) -> shelf_pb2.PlanCount:
    kinds = (kind for kind in FindingKind if kind is not FindingKind.UNIDENTIFIED)
    found = {kind.lower(): count.found.get(kind, 0) for kind in kinds}
    return shelf_pb2.PlanCount(product_id=count.product_id, planned=count.planned, **found)


def _suggestion(found: StockSuggestion) -> shelf_pb2.StockSuggestion:
    return _suggestion_of(shelf_pb2.StockSuggestion, found.quantity, found)


_suggestion_of = MessageWriter(
    {
        "quantity": "units",
        "quantity_low": "low",
        "quantity_high": "high",
        "expected_demand": "expected",
        "safety_stock": "safety",
        "sold_units": "sold",
        "observed_days": "days",
    }
)
