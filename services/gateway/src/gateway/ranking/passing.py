"""Evaluation of filters on the columns of candidates. Pure; semantics as in the rules."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from gateway.model.columns import ProductColumns
from sightline_rules import kinds
from sightline_rules.facts import Facts, passes
from sightline_rules.fields import CANDIDATE, Field
from sightline_rules.filters import Filter, Money, Time, attribute_key, fields
from sightline_rules.messages import AVAILABILITIES, attributes_of

_HELD = {field.name: field for field in CANDIDATE if field.filtered}


def passing(columns: ProductColumns, condition: Filter) -> list[str] | None:
    """Return the products that pass; None if columns lack a field, such as the title."""
    names = sorted({"attributes" if attribute_key(name) else name for name in fields(condition)})
    known = sum(len(rows) for _, rows in columns.blocks) == len(columns.product_ids)
    if not names or not known or not _HELD.keys() >= set(names):
        return None

    def judge(values: Sequence[Any]) -> bool:
        return passes(condition, Facts(**dict(zip(names, values, strict=True))))

    # Many products are equal in a few fields. Attributes are excluded: 1.0 == True.
    judged = judge if "attributes" in names else cache(judge)
    held = [_column(columns, _HELD[name]) for name in names]
    rows = zip(columns.product_ids, zip(*held, strict=True), strict=True)
    return [product_id for product_id, values in rows if judged(values)]


def _column(columns: ProductColumns, field: Field) -> list[Any]:
    """Return the facts of a field, one for each product."""
    name, *more = field.candidate
    match field.kind:
        case kinds.MoneyKind():
            (currencies,) = more
            pairs = zip(columns.read(currencies, ""), columns.read(name, -1), strict=True)
            return [Money(*pair) if pair[1] >= 0 else None for pair in pairs]
        case kinds.StepsKind() as kind:
            steps, plain = kind.steps, kind.plain
            return [plain(each / steps) if each >= 0 else None for each in columns.read(name, -1)]
        case kinds.ChoiceKind():
            return [AVAILABILITIES.get(each) for each in columns.read(name, 0)]
        case kinds.TimeKind():
            return [Time(each) for each in columns.read(name, 0)]
        case kinds.TextsKind():
            return [frozenset(each) for each in _values(columns, name)]
        case kinds.AttributesKind():
            return [attributes_of(each) for each in _values(columns, name)]
        case _:
            return columns.read(name, "")


def _values(columns: ProductColumns, name: str) -> list[Any]:
    lists: list[Any] = columns.read(name, None)
    return [each.values if each else () for each in lists]
