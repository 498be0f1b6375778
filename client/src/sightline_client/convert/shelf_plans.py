"""Convert plans of shelves to messages, and comparisons and quantities to plain values."""

from collections.abc import Iterable

from sightline.common.v1 import photo_pb2
from sightline.vision.v1 import shelf_pb2
from sightline_client.convert.to_wire import sendable
from sightline_client.values.parts import PlannedProduct
from sightline_client.values.shelf_plans import StockOptions
from sightline_client.values.signals import Box


def plan(products: Iterable[PlannedProduct]) -> shelf_pb2.ShelfPlan:
    """Return the message of a plan. InvalidRequest for a value that no message can hold."""
    return shelf_pb2.ShelfPlan(
        products=[_planned(place, each) for place, each in enumerate(products)]
    )


def stock(options: StockOptions) -> shelf_pb2.StockRequest:
    """Return the message of a request for quantities."""
    with sendable("stock"):
        return shelf_pb2.StockRequest(
            lead_time_days=options.lead_time_days,
            service_level=options.service_level,
            history_days=options.history_days,
        )


def products_of(message: shelf_pb2.ShelfPlan) -> tuple[PlannedProduct, ...]:
    """Return the entries of a plan's message."""
    return tuple(
        PlannedProduct(
            each.product_id,
            each.facings,
            each.shelf.row,
            each.shelf.position,
            Box(each.box.left, each.box.top, each.box.right, each.box.bottom)
            if each.HasField("box")
            else None,
        )
        for each in message.products
    )


def _planned(place: int, each: PlannedProduct) -> shelf_pb2.PlannedProduct:
    with sendable(f"plan.products[{place}]"):
        message = shelf_pb2.PlannedProduct(product_id=each.product_id, facings=each.facings)
        if each.box is not None:
            box = each.box
            message.box.CopyFrom(
                photo_pb2.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)
            )
        if each.row or each.position:
            message.shelf.CopyFrom(shelf_pb2.ShelfPlace(row=each.row, position=each.position))
        return message
