"""Sort orders of a search by fields of the record. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum

from gateway.model.answer import AnswerOrder
from gateway.model.columns import ProductColumns
from gateway.ranking.collapse import picked

UNKNOWN_PRICE = -1


class SearchSort(IntEnum):
    """Sort order, by the numbers of the contract."""

    UNSPECIFIED = 0
    NEAREST = 1
    PRICE_RISING = 2
    PRICE_FALLING = 3
    NEWEST = 4
    BRAND = 5


Key = Callable[[int], tuple[bool, float | str]]
"""Sort key by row of the columns: whether the product has no value and comes last, and its value,
ascending."""


def in_order(
    order: AnswerOrder, columns: ProductColumns, sort: SearchSort, nearest: int
) -> AnswerOrder:
    """Return a whole order with its first `nearest` products sorted, stably."""
    made = _KEYS.get(sort)
    if made is None:
        return order
    at = {product_id: row for row, product_id in enumerate(columns.product_ids)}
    key, first = made(columns), range(min(nearest, len(order.product_ids)))
    rows = sorted(first, key=lambda place: key(at[order.product_ids[place]]))
    rows += range(len(first), len(order.product_ids))
    return picked(order, rows)


def _by_price(columns: ProductColumns, sign: int) -> Key:
    prices = columns.read("price_micros", UNKNOWN_PRICE)
    currencies = columns.read("currencies", "")
    known = Counter(
        currency
        for price, currency in zip(prices, currencies, strict=True)
        if price != UNKNOWN_PRICE
    )
    usual = max(known, key=lambda currency: (known[currency], currency), default="")

    def key(row: int) -> tuple[bool, float]:
        comparable = prices[row] != UNKNOWN_PRICE and currencies[row] == usual
        return (False, sign * prices[row]) if comparable else (True, math.inf)

    return key


def _by_age(columns: ProductColumns) -> Key:
    created: Sequence[int] = columns.create_time_micros or [0] * len(columns.product_ids)
    return lambda row: (False, -created[row])


def _by_brand(columns: ProductColumns) -> Key:
    brands = columns.read("brands", "")
    return lambda row: (not brands[row], brands[row].casefold())


_KEYS: Mapping[SearchSort, Callable[[ProductColumns], Key]] = {
    SearchSort.PRICE_RISING: lambda columns: _by_price(columns, 1),
    SearchSort.PRICE_FALLING: lambda columns: _by_price(columns, -1),
    SearchSort.NEWEST: _by_age,
    SearchSort.BRAND: _by_brand,
}
