"""Filters on columns: which rows pass, with the meaning of sightline_rules.facts.passes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter

import numpy as np

from sightline_rules.evaluation.columns import AskedColumn, FactColumn
from sightline_rules.evaluation.work import Flags, Work
from sightline_rules.facts import Facts
from sightline_rules.fields import NAMED
from sightline_rules.filters import (
    ATTRIBUTES,
    All,
    Any,
    Comparison,
    Existence,
    Filter,
    Leaf,
    Membership,
    Not,
)
from sightline_rules.markets import split

_ATTRIBUTES = ATTRIBUTES.removesuffix(".")


@dataclass(frozen=True, slots=True)
class AskedFilters:
    """Filters on the same rows. They share columns, and so what is looked up."""

    conditions: Sequence[Filter]
    rows: int
    """Number of rows."""
    columns: Mapping[str, AskedColumn]
    """The columns that the filters name, by field."""

    @classmethod
    def of(
        cls,
        conditions: Sequence[Filter],
        rows: int,
        column: Callable[[str, Sequence[Leaf]], AskedColumn],
    ) -> "AskedFilters":
        """Return filters on columns that `column` makes, of a field's name and its conditions."""
        by_field: dict[str, list[Leaf]] = {}
        for condition in conditions:
            for leaf in leaves(condition):
                by_field.setdefault(field_of(leaf), []).append(leaf)
        columns = {name: column(name, asked) for name, asked in by_field.items()}
        return cls(conditions, rows, columns)

    @property
    def steps(self) -> int:
        """Return the work: values compared, of which a text of 64 characters is one."""
        return sum(column.steps for column in self.columns.values())

    def passing(self) -> Work[list[Flags]]:
        """Return for each filter which rows pass it."""
        yield from self.look_up()
        found = []
        for condition in self.conditions:
            passed = yield from self.evaluate(condition)
            found.append(passed)
        return found

    def look_up(self) -> Work[None]:
        """Compare what conditions can share; `evaluate` needs it."""
        for column in self.columns.values():
            yield from column.look_up()

    def evaluate(self, condition: Filter) -> Work[Flags]:
        """Return which rows pass one of the filters, or a part of one."""
        match condition:
            case All(filters):
                parts = yield from self._each(filters)
                every = np.ones(self.rows, np.bool_)
                return np.asarray(reduce(np.logical_and, parts, every))
            case Any(filters):
                parts = yield from self._each(filters)
                none = np.zeros(self.rows, np.bool_)
                return np.asarray(reduce(np.logical_or, parts, none))
            case Not(inner):
                return ~(yield from self.evaluate(inner))
            case Comparison() | Membership() | Existence():
                yield
                return self.columns[field_of(condition)].flags(condition)

    def _each(self, filters: Sequence[Filter]) -> Work[list[Flags]]:
        found = []
        for part in filters:
            passed = yield from self.evaluate(part)
            found.append(passed)
        return found


def of_facts(conditions: Sequence[Filter], products: Sequence[Facts]) -> AskedFilters:
    """Return checked filters on the facts of single products."""

    def column(name: str, asked: Sequence[Leaf]) -> AskedColumn:
        base, market_id = split(name)
        kind = NAMED[base].kind
        facts: Iterable[Any] = map(attrgetter(base), products)
        if market_id:
            facts = (each.held(name)[1] for each in products)
        return FactColumn(kind, asked, facts, len(products))

    return AskedFilters.of(conditions, len(products), column)


def judged(condition: Filter, products: Iterable[Facts]) -> Work[Flags]:
    """Return which of some products pass a checked filter. Their facts are made in steps too."""
    made = []
    for each in products:
        made.append(each)
        yield
    (found,) = yield from of_facts([condition], made).passing()
    return found


def leaves(condition: Filter) -> Iterable[Leaf]:
    """Yield the conditions on single fields."""
    match condition:
        case All(filters) | Any(filters):
            for part in filters:
                yield from leaves(part)
        case Not(inner):
            yield from leaves(inner)
        case Comparison() | Membership() | Existence():
            yield condition


def field_of(leaf: Leaf) -> str:
    """Return the name of the field that a condition asks, in the table of fields."""
    return _ATTRIBUTES if leaf.field.startswith(ATTRIBUTES) else leaf.field
