"""Plans of shelves, comparisons and suggested quantities as messages."""

from typing import cast

from gateway.clients import messages
from gateway.detect.plan import PlannedProduct, ShelfBox, ShelfPlace, ShelfPlan
from gateway.detect.plan_comparison import FindingKind, PlanComparison, PlanCount
from gateway.detect.shelf import ShelfQuestion, ShelfReport
from gateway.detect.stock import StockRequest, StockSuggestion
from servicekit.admission.access import Role, caller
from servicekit.rpc.messages import MessageWriter, message_of
from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import detection_service_pb2, shelf_pb2

_DEFAULTS = StockRequest()
_SALES = frozenset({Role.READ})
"""Roles that may see units sold."""


def question_of(
    request: detection_service_pb2.DetectProductsRequest, catalog_id: str
) -> ShelfQuestion:
    """Return what the request asks about its shelf. Raises RoleMissing."""
    plan = _plan(request.plan) if request.HasField("plan") else None
    if not request.HasField("stock"):
        return ShelfQuestion(catalog_id, plan)
    caller.get().check(_SALES)
    asked = StockRequest(
        request.stock.lead_time_days or _DEFAULTS.lead_time_days,
        request.stock.service_level or _DEFAULTS.service_level,
        request.stock.history_days or _DEFAULTS.history_days,
    )
    return ShelfQuestion(catalog_id, plan, asked)


def add_report(report: ShelfReport, response: detection_service_pb2.DetectProductsResponse) -> None:
    """Add the report to the response, with the planned products that were not found."""
    for row in report.missing:
        product = response.products.add()
        product.CopyFrom(cast(product_pb2.Product, row))
        product.ClearField("markets")
    if report.comparison is not None:
        response.plan_comparison.CopyFrom(_comparison(report.comparison))
    response.stock_suggestions.extend(map(_suggestion, report.suggestions))
    response.degradations.extend(messages.degradation_messages(report.degradations))


def _plan(message: shelf_pb2.ShelfPlan) -> ShelfPlan:
    return ShelfPlan(
        [PlannedProduct(each.product_id, each.facings, _place(each)) for each in message.products]
    )


def _place(each: shelf_pb2.PlannedProduct) -> ShelfPlace | ShelfBox | None:
    match each.WhichOneof("place"):
        case "shelf":
            return ShelfPlace(each.shelf.row, each.shelf.position)
        case "box":
            return ShelfBox(each.box.left, each.box.top, each.box.right, each.box.bottom)
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
