"""Which candidates pass a filter, by what their columns say. Pure; the rule is shared."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from gateway.model.columns import ProductColumns
from sightline_rules.facts import Facts, passes
from sightline_rules.filters import Filter, Money, Time, attribute_key, fields
from sightline_rules.messages import AVAILABILITIES, attributes_of

_HELD = frozenset(
    {"category", "brand", "price", "availability", "tags", "attributes", "create_time"}
)


def passing(columns: ProductColumns, condition: Filter) -> list[str] | None:
    """The products that pass; None = columns do not say, as of titles and times of change."""
    names = sorted({"attributes" if attribute_key(name) else name for name in fields(condition)})
    known = sum(len(rows) for _, rows in columns.blocks) == len(columns.product_ids)
    if not names or not known or not _HELD.issuperset(names):
        return None

    def judge(values: Sequence[Any]) -> bool:
        return passes(condition, Facts(**dict(zip(names, values, strict=True))))

    # Many products are alike in a few fields. Attributes are not: 1.0 == True.
    judged = judge if "attributes" in names else cache(judge)
    held = [_column(columns, name) for name in names]
    rows = zip(columns.product_ids, zip(*held, strict=True), strict=True)
    return [product_id for product_id, values in rows if judged(values)]


def _column(columns: ProductColumns, name: str) -> list[Any]:
    """A field of each product's facts."""
    match name:
        case "category":
            return columns.read("category_paths", "")
        case "brand":
            return columns.read("brands", "")
        case "price":
            amounts = columns.read("price_micros", -1)
            pairs = zip(columns.read("currencies", ""), amounts, strict=True)
            return [Money(*pair) if pair[1] >= 0 else None for pair in pairs]
        case "availability":
            return [AVAILABILITIES.get(each) for each in columns.read("availabilities", 0)]
        case "create_time":
            return [Time(each) for each in columns.read("create_time_micros", 0)]
        case "tags":
            return [frozenset(each) for each in _values(columns, name)]
        case _:
            return [attributes_of(each) for each in _values(columns, name)]


def _values(columns: ProductColumns, name: str) -> list[Any]:
    lists: list[Any] = columns.read(name, None)
    return [each.values if each else () for each in lists]
