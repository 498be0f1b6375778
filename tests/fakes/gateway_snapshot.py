"""Products as a gateway's snapshot holds them."""

import time
from collections.abc import Sequence

from gateway.clients.columns import columns_of_rows
from gateway.model.query import CallersFilter
from gateway.model.snapshot import CatalogSnapshot
from sightline.common.v1 import filter_pb2, product_pb2
from sightline.common.v1.product_pb2 import Product as ProductRow

READ_MICROS = 1_800_000_000_000_000
"""Time at which snapshots were read."""


def row(product_id: str, *category: str, **fields: object) -> ProductRow:
    """Return a buyable product, as the record returns it."""
    given = {"availability": product_pb2.AVAILABILITY_IN_STOCK, "title": f"Title {product_id}"}
    return ProductRow(product_id=product_id, category_path=category, **(given | fields))  # type: ignore[arg-type]


def snapshot(popular: Sequence[ProductRow], newest: Sequence[ProductRow] = ()) -> CatalogSnapshot:
    return CatalogSnapshot(
        time_micros=READ_MICROS,
        popular=tuple(each.product_id for each in popular),
        newest=tuple(each.product_id for each in newest),
        rows={each.product_id: each for each in (*popular, *newest)},
        columns_of=columns_of_rows,
    )


def fresh(made: CatalogSnapshot) -> CatalogSnapshot:
    """Return a snapshot that was read just now."""
    return CatalogSnapshot(
        round(time.time() * 1e6), made.popular, made.newest, made.rows, made.columns_of
    )


def brand_is(text: str) -> CallersFilter:
    equal = filter_pb2.Comparison.OPERATOR_EQUAL
    value = filter_pb2.FilterValue(text=text)
    message = filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field="brand", operator=equal, value=value)
    )
    return CallersFilter(message, message.SerializeToString(), names_availability=False)
