"""Plans of shelves, comparisons and suggested quantities as messages."""

from typing import Any, cast

from gateway.clients import messages
from gateway.detect.plan import PlannedProduct, ShelfBox, ShelfPlace, ShelfPlan
from gateway.detect.plan_comparison import FindingKind, PlanComparison, PlanCount, PlanFinding
from gateway.detect.shelf import ShelfQuestion, ShelfReport
from gateway.detect.stock import StockRequest, StockSuggestion
from servicekit.admission.access import Role, caller
from sightline.common.v1 import photo_pb2, product_pb2
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
    return shelf_pb2.PlanComparison(
        findings=map(_finding, found.findings),
        counts=map(_count, found.counts),
        row_count=found.row_count,
        compliance=found.compliance,
    )


def _finding(found: PlanFinding) -> shelf_pb2.PlanFinding:
    box = found.box
    return shelf_pb2.PlanFinding(
        kind=shelf_pb2.PlanFinding.Kind.Value(f"KIND_{found.kind}"),
        product_id=found.product_id,
        detection=found.detection,
        box=None
        if box is None
        else photo_pb2.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom),
        row=found.row,
        planned=found.planned,
    )


def _count(count: PlanCount) -> shelf_pb2.PlanCount:
    kinds = (kind for kind in FindingKind if kind is not FindingKind.UNIDENTIFIED)
    found = {kind.lower(): count.found.get(kind, 0) for kind in kinds}
    return shelf_pb2.PlanCount(product_id=count.product_id, planned=count.planned, **found)


def _suggestion(found: StockSuggestion) -> shelf_pb2.StockSuggestion:
    numbers: dict[str, Any] = {}
    if found.quantity is not None:
        numbers = {
            "quantity": found.quantity.units,
            "quantity_low": found.quantity.low,
            "quantity_high": found.quantity.high,
            "expected_demand": found.quantity.expected,
            "safety_stock": found.quantity.safety,
        }
    return shelf_pb2.StockSuggestion(
        product_id=found.product_id,
        on_shelf=found.on_shelf,
        sold_units=found.sold,
        observed_days=found.days,
        lack=shelf_pb2.StockSuggestion.Lack.Value(f"LACK_{found.lack}"),
        text=found.text,
        **numbers,
    )
