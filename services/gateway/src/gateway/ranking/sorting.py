"""Sort orders of a search by fields of the record. Pure."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from gateway.ranking.near_duplicates import picked
from sightline_core.answer import AnswerOrder
from sightline_core.columns import ProductColumns
from sightline_rules import kinds
from sightline_rules.fields import ORDERS, Field

NEAREST = "NEAREST"
"""The order of the search itself."""
POPULARITY = "POPULARITY"
"""The order of a listing by the events of shoppers."""
SORTS = frozenset({"", NEAREST, *ORDERS})
"""Orders of a search, as the contract names them; empty: NEAREST."""
RELEVANCE = "RELEVANCE"
"""The order of a listing by the matches of a text's words."""
LIST_SORTS = SORTS | {POPULARITY, RELEVANCE}
"""Orders of a listing; empty and NEAREST: RELEVANCE with a text, else POPULARITY."""
Key = Callable[[int], tuple[bool, Any]]
"""Sort key by row of the columns, ascending: whether the value is missing, then the value."""


def in_order(order: AnswerOrder, columns: ProductColumns, sort: str, nearest: int) -> AnswerOrder:
    """Return a whole order with its first `nearest` products sorted, stably."""
    if sort not in ORDERS:
        return order
    field, by = ORDERS[sort]
    at = {product_id: row for row, product_id in enumerate(columns.product_ids)}
    key = _key(columns, field, -1 if by.falling else 1)
    first = range(min(nearest, len(order.product_ids)))
    rows = sorted(first, key=lambda place: key(at[order.product_ids[place]]))
    rows += range(len(first), len(order.product_ids))
    return picked(order, rows)


def _key(columns: ProductColumns, field: Field, sign: int) -> Key:
    """Return the key by a field's values; `sign`: -1 for descending order."""
    match field.kind:
        case kinds.MoneyKind():
            return _by_money(columns, field, sign)
        case kinds.TextKind():
            texts = columns.read(field.candidate[0], "")
            return lambda row: (not texts[row], texts[row].casefold())
        case _:
            numbers = columns.read(field.candidate[0], -1)
            return lambda row: (numbers[row] < 0, sign * numbers[row])


def _by_money(columns: ProductColumns, field: Field, sign: int) -> Key:
    """Return the key by amounts: first those of the currency that most products have."""
    amounts = columns.read(field.candidate[0], -1)
    currencies = columns.read(field.candidate[1], "")
    known = Counter(c for amount, c in zip(amounts, currencies, strict=True) if amount >= 0)
    usual = max(known, key=lambda currency: (known[currency], currency), default="")

    def key(row: int) -> tuple[bool, Any]:
        comparable = amounts[row] >= 0 and currencies[row] == usual
        return (False, sign * amounts[row]) if comparable else (True, 0)

    return key
