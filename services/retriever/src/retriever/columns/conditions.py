"""Evaluation of filters on columns, equal to sightline_rules.facts.passes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from retriever.columns.arrays import Flags, Ints
from retriever.columns.column import AskedColumn
from retriever.columns.lookups import Lookups
from retriever.columns.off_loop import off_loop
from retriever.columns.table import ProductTable
from servicekit import deadlines
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


class Conditions:
    """Evaluator of filters on one table. Caches answers about texts for later filters."""

    def __init__(self, table: ProductTable) -> None:
        self._table = table
        self._lookups = Lookups()

    async def passing(self, condition: Filter, places: Ints) -> Flags:
        """Return which of some places pass a checked filter; -1 and removed products do not.

        Answers for the table as it is at the call. Raises DeadlineExceeded.
        """
        held = np.flatnonzero(places >= 0)
        some = places[held]
        asked, alive = self.asked(condition, some), self._table.alive[some]
        found = np.zeros(len(places), np.bool_)
        found[held] = alive & await off_loop(asked.steps, asked.passing)
        return found

    def asked(self, condition: Filter, places: Ints) -> "AskedFilter":
        """Return a filter with copies of the columns that it asks of some places, so that a thread
        can evaluate it while products are written."""
        by_field: dict[str, list[Leaf]] = {}
        for leaf in _leaves(condition):
            by_field.setdefault(_field(leaf), []).append(leaf)
        columns = {
            name: self._table.columns[name].asked(leaves, places, self._lookups)
            for name, leaves in by_field.items()
        }
        return AskedFilter(condition, len(places), columns)


@dataclass(frozen=True, slots=True)
class AskedFilter:
    """Filter on some places of a table."""

    condition: Filter
    places: int
    """Number of places."""
    columns: Mapping[str, AskedColumn]
    """The filter's columns by field."""

    @property
    def steps(self) -> int:
        """Return the work: values compared, of which a text of 64 characters is one."""
        return sum(column.steps for column in self.columns.values())

    def passing(self) -> Flags:
        """Return by place whether it passes. Raises DeadlineExceeded."""
        for column in self.columns.values():
            column.look_up()
        return self._evaluate(self.condition)

    def _evaluate(self, condition: Filter) -> Flags:
        match condition:
            case All(filters):
                every = np.ones(self.places, np.bool_)
                return np.asarray(reduce(np.logical_and, map(self._evaluate, filters), every))
            case Any(filters):
                none = np.zeros(self.places, np.bool_)
                return np.asarray(reduce(np.logical_or, map(self._evaluate, filters), none))
            case Not(inner):
                return ~self._evaluate(inner)
            case Comparison() | Membership() | Existence():
                deadlines.check()
                return self.columns[_field(condition)].flags(condition)


def _leaves(condition: Filter) -> Iterable[Leaf]:
    match condition:
        case All(filters) | Any(filters):
            for part in filters:
                yield from _leaves(part)
        case Not(inner):
            yield from _leaves(inner)
        case Comparison() | Membership() | Existence():
            yield condition


def _field(leaf: Leaf) -> str:
    """Return the name of the column that answers a condition."""
    return _ATTRIBUTES if leaf.field.startswith(ATTRIBUTES) else leaf.field


_ATTRIBUTES = ATTRIBUTES.removesuffix(".")
