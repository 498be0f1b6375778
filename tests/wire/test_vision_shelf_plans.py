"""Plans of shelves and suggested quantities over real gRPC."""

import pytest

from sightline.common.v1 import answer_pb2, photo_pb2
from sightline.vision.v1 import detection_service_pb2 as pb
from sightline.vision.v1 import shelf_pb2
from tests.wire.detection_shop import suite
from tests.wire.gateway_calls import causes, refused

__all__ = ["suite"]  # fixtures
KINDS = shelf_pb2.PlanFinding.Kind
HALF = photo_pb2.Box(right=0.5, bottom=1)


def planned(product_id: str = "p1", facings: int = 3, **place) -> shelf_pb2.PlannedProduct:
    return shelf_pb2.PlannedProduct(product_id=product_id, facings=facings, **place)


def shelf(*products: shelf_pb2.PlannedProduct, **fields) -> pb.DetectProductsRequest:
    """Return a request about a photo that shows p1 three times in a row."""
    plan = shelf_pb2.ShelfPlan(products=products)
    return pb.DetectProductsRequest(image=b"shelf", min_probability=0.0, plan=plan, **fields)


async def test_a_photo_is_compared_with_a_plan(suite):
    row = shelf_pb2.ShelfPlace(row=1)
    found = await suite.detection.DetectProducts(
        shelf(planned("p1", 2, shelf=row), planned("p2", 1, shelf=row))
    )

    compared = found.plan_comparison
    names = [KINDS.Name(each.kind).removeprefix("KIND_") for each in compared.findings]
    assert names == ["PRESENT", "PRESENT", "SURPLUS", "MISSING"]
    assert [each.product_id for each in compared.counts] == ["p1", "p2"]
    assert compared.row_count == 1
    assert compared.compliance == pytest.approx(2 / 3)
    assert [each.title for each in found.products] == ["Title p1", "Title p2"]
    assert not found.stock_suggestions
    assert suite.ranker.script.requests("CountSales") == []


async def test_quantities_follow_from_counted_sales(suite):
    request = shelf(planned(), stock=shelf_pb2.StockRequest(history_days=28))
    found = await suite.detection.DetectProducts(request)

    (suggested,) = found.stock_suggestions
    assert (suggested.product_id, suggested.on_shelf) == ("p1", 3)
    assert (suggested.sold_units, suggested.observed_days) == (112, 56)
    assert suggested.quantity > 0
    assert suggested.quantity_low <= suggested.quantity <= suggested.quantity_high
    (sent,) = suite.ranker.script.requests("CountSales")
    assert (list(sent.product_ids), sent.days, sent.catalog_id) == (["p1"], 28, "default")


async def test_without_a_plan_found_products_get_quantities(suite):
    request = pb.DetectProductsRequest(
        image=b"shelf", min_probability=0.0, stock=shelf_pb2.StockRequest()
    )
    found = await suite.detection.DetectProducts(request)

    assert not found.HasField("plan_comparison")
    assert [each.product_id for each in found.stock_suggestions] == ["p1"]


async def test_without_the_ranker_the_comparison_is_answered(suite):
    await suite.ranker.down()
    request = shelf(planned(), stock=shelf_pb2.StockRequest())
    found = await suite.detection.DetectProducts(request)

    assert found.plan_comparison.compliance == 1.0
    assert [each.lack for each in found.stock_suggestions] == [
        shelf_pb2.StockSuggestion.LACK_UNAVAILABLE
    ]
    assert causes(found) == [("stock", "RANKER_UNAVAILABLE")]
    assert found.degradations[0].cause == answer_pb2.Degradation.CAUSE_RANKER_UNAVAILABLE


@pytest.mark.parametrize(
    ("products", "field"),
    [
        ([], "plan.products"),
        ([planned(facings=0)], "plan.products[0].facings"),
        ([planned(), planned("nope", 1)], "plan.products[1].product_id"),
        ([planned(), planned()], "plan.products[1].product_id"),
        ([planned("p1", 300)], "plan.products"),
        ([planned(shelf=shelf_pb2.ShelfPlace())], "plan.products[0].shelf.row"),
        ([planned(box=photo_pb2.Box())], "plan.products[0].box"),
        ([planned(box=HALF), planned("p2", 1, box=HALF)], "plan.products[1].box"),
    ],
)
async def test_an_impossible_plan_is_rejected_before_the_photo_is_embedded(suite, products, field):
    error = await refused(suite.detection.DetectProducts(shelf(*products)))

    assert (error.reason, error.violations[0].field) == ("PLAN_INVALID", field)
    assert suite.embedder.script.requests("EmbedRegions") == []


async def test_too_many_entries_are_rejected_before_they_are_read(suite):
    request = shelf(*[planned(f"p{n}", 1) for n in range(301)], max_detections=300)
    error = await refused(suite.detection.DetectProducts(request))

    assert "plan" in str(error)


async def test_a_stock_request_out_of_range_is_rejected(suite):
    request = shelf(planned(), stock=shelf_pb2.StockRequest(service_level=1.5))
    error = await refused(suite.detection.DetectProducts(request))

    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", "stock.service_level")
