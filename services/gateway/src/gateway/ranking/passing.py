"""Filters on the columns of candidates: which candidates pass, without asking the record."""

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import numpy as np

from servicekit.tasks.off_loop import off_loop
from sightline_core.columns import ProductColumns
from sightline_rules import kinds
from sightline_rules.evaluation.columns import Amounts, AskedColumn, FactColumn, Numbers
from sightline_rules.evaluation.conditions import AskedFilters, field_of, leaves
from sightline_rules.fields import CANDIDATE, Field
from sightline_rules.filters import Filter, Leaf
from sightline_rules.messages import AVAILABILITIES, attributes_of

_HELD = {field.name: field for field in CANDIDATE if field.filtered and field.name != "title"}
"""Fields that columns answer for; a retriever of an earlier release sends no titles."""
_ATTRIBUTE_STEPS = 16
"""Work of reading the attributes of one candidate."""


async def passing(columns: ProductColumns, conditions: Sequence[Filter]) -> list[list[str] | None]:
    """Return the products that pass each of some checked filters; None where columns lack a field,
    such as the title.

    All filters are evaluated together: beside the event loop if that takes more than a moment.
    Raises DeadlineExceeded.
    """
    ids = columns.product_ids
    known = sum(len(rows) for _, rows in columns.blocks) == len(ids)
    names = [{field_of(leaf) for leaf in leaves(each)} for each in conditions]
    answered = [known and bool(named) and _HELD.keys() >= named for named in names]
    asked = AskedFilters.of(
        [*compress(conditions, answered)],
        len(ids),
        lambda name, some: column_of(columns, _HELD[name], some),
    )
    found = iter(await off_loop(asked.steps, asked.passing()))
    return [[*compress(ids, next(found).tolist())] if each else None for each in answered]


def column_of(columns: ProductColumns, field: Field, asked: Sequence[Leaf]) -> AskedColumn:
    """Return a field of the candidates. Texts are facts, numbers are arrays."""
    column, *more = field.candidate
    match field.kind:
        case kinds.MoneyKind():
            micros, currencies = _numbers(columns, column), columns.read(more[0], "")
            codes = {each: code for code, each in enumerate(dict.fromkeys(currencies))}
            of_row = np.array([codes[each] for each in currencies], np.int16)
            code_of = lambda currency: codes.get(currency, -1)  # noqa: E731
            return Amounts(len(asked), micros, micros >= 0, of_row, code_of)
        case kinds.StepsKind() as kind:
            numbers = _numbers(columns, column)
            return Numbers(len(asked), kind.scaled(numbers), numbers >= 0)
        case kinds.TimeKind():
            times = np.array(columns.read(column, 0), np.int64)
            return Numbers(len(asked), times, np.ones(len(times), np.bool_))
        case kinds.AttributesKind() as kind:
            facts, rows = _facts(columns, field), len(columns.product_ids)
            return FactColumn(kind, asked, facts, rows, fact_steps=_ATTRIBUTE_STEPS)
        case kind:
            return FactColumn(kind, asked, _facts(columns, field), len(columns.product_ids))


def _numbers(columns: ProductColumns, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(columns.read(name, -1), np.int64)


def _facts(columns: ProductColumns, field: Field) -> Iterator[Any]:
    """Yield the facts of a field, one for each product."""
    (name,) = field.candidate
    match field.kind:
        case kinds.ChoiceKind():
            return iter([AVAILABILITIES.get(each) for each in columns.read(name, 0)])
        case kinds.TextsKind():
            return map(frozenset, _values(columns, name))
        case kinds.AttributesKind():
            return map(attributes_of, _values(columns, name))
        case _:
            return iter(columns.read(name, ""))


def _values(columns: ProductColumns, name: str) -> list[Any]:
    lists: list[Any] = columns.read(name, None)
    return [each.values if each else () for each in lists]
