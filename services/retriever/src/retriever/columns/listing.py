"""Order of lists of products, on columns in memory."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.numeric import NumberColumn
from retriever.columns.table import ProductTable
from retriever.domain.product import ProductOrder
from sightline_rules.evaluation.work import Work
from sightline_rules.fields import ORDERS

Position = tuple[int, str]
"""Value of the order's field, 0 without one, and product id: the key of a page token."""
_SORTED = 4_096
"""Products that are compared at a time."""


def first_positions(
    table: ProductTable, places: Ints, order: ProductOrder, after: Position | None, count: int
) -> Work[Sequence[Position]]:
    """Return the positions of the first `count` products at these places, in the list's order.

    `after`: only products behind this position.
    """
    values, falling = _values(table, places, order)
    sign = -1 if falling else 1
    keys, ids = sign * values, table.ids
    start = None if after is None else (sign * after[0], after[1])
    if start is not None:
        places, keys = places[keys >= start[0]], keys[keys >= start[0]]
    places, keys = _nearest(places, keys, count, start)
    first: list[Position] = []
    for begin in range(0, len(places), _SORTED):
        yield
        some = [ids[place] for place in places[begin : begin + _SORTED].tolist()]
        pairs = [*zip(keys[begin : begin + _SORTED].tolist(), some, strict=True)]
        if start is not None:
            pairs = [pair for pair in pairs if pair > start]
        if first and len(first) == count:
            pairs = [pair for pair in pairs if pair < first[-1]]
        first = sorted([*first, *pairs])[:count]
    return [(sign * key, product_id) for key, product_id in first]


def _nearest(places: Ints, keys: Ints, count: int, start: Position | None) -> tuple[Ints, Ints]:
    """Leave out places that can't be among the first `count`, as comparing pairs takes 2 s of a
    million products. Equal keys stay: their ids decide."""
    wanted = count if start is None else count + int(np.count_nonzero(keys == start[0]))
    if wanted >= len(keys):
        return places, keys
    near = keys <= np.partition(keys, wanted - 1)[wanted - 1]
    return places[near], keys[near]


def _values(table: ProductTable, places: Ints, order: ProductOrder) -> tuple[Ints, bool]:
    """Return the values that the order compares first, and whether they fall."""
    by = ORDERS.get(order.name)
    if by is None:
        return np.zeros(len(places), np.int64), False
    field, direction = by
    values = cast(NumberColumn, table.columns[field.name]).values[places]
    return values, direction.falling
