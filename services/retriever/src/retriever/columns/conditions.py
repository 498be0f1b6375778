"""Filters on columns: which places pass. The meaning is that of sightline_rules.filters.passes.

Texts are looked at once for each condition (lookups.py), prices and times compared as arrays.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import numpy.typing as npt

from retriever.columns.lookups import Leaf, Lookups, Texts
from retriever.columns.off_loop import off_loop
from retriever.columns.table import NO_PRICE, Coded, Flags, Ints, Table
from servicekit import deadlines
from sightline_rules.facts import Facts, by_key
from sightline_rules.filters import (
    ATTRIBUTES,
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
)

_COMPARE: dict[Operator, Callable[[Ints, int], Flags]] = {
    Operator.EQUAL: np.equal,
    Operator.NOT_EQUAL: np.not_equal,
    Operator.LESS: np.less,
    Operator.LESS_OR_EQUAL: np.less_equal,
    Operator.GREATER: np.greater,
    Operator.GREATER_OR_EQUAL: np.greater_equal,
}
_CODED: dict[str, tuple[str, str, Callable[[str], Facts]]] = {
    "category": ("categories", "category", lambda text: Facts(category=text)),
    "brand": ("brands", "brand", lambda text: Facts(brand=text)),
    "tags": ("tags", "tag", lambda text: Facts(tags=frozenset(json.loads(text)))),
    "availability": (
        "availabilities",
        "availability",
        lambda text: Facts(availability=Availability(text)),
    ),
    ATTRIBUTES: (
        "attributes",
        "attribute",
        lambda text: Facts(attributes=by_key(json.loads(text))),
    ),
}
"""Of fields whose texts many products share: where a table has these and their codes, and what a
text says."""


class Column(Protocol):
    """What the products at some places have in a field, and what conditions say of it."""

    @property
    def steps(self) -> int:
        """What there is to do: about so many looks at a text or value."""

    def look_up(self) -> None:
        """Do what is best done for all conditions on the field at once."""

    def flags(self, leaf: Leaf) -> Flags:
        """By place, whether it passes one of them."""


class Conditions:
    """Evaluates filters on one table, and keeps what it looked up for the next."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._lookups = Lookups()

    async def passing(self, condition: Filter, places: Ints) -> Flags:
        """Which of some places pass a filter that was checked, as the table is now; -1 and empty
        places do not. Raises DeadlineExceeded when nobody waits any more."""
        held = np.flatnonzero(places >= 0)
        some = places[held]
        asked, alive = self.asked(condition, some), self._table.alive[some]
        found = np.zeros(len(places), np.bool_)
        found[held] = alive & await off_loop(asked.steps, asked.passing)
        return found

    def asked(self, condition: Filter, places: Ints) -> "Asked":
        """A filter, and of the table what it asks of some places: that no write changes any more,
        so that it may be evaluated in a thread."""
        by_field: dict[str, list[Leaf]] = {}
        for leaf in _leaves(condition):
            by_field.setdefault(_field(leaf), []).append(leaf)
        columns = {field: self._column(field, of, places) for field, of in by_field.items()}
        return Asked(condition, len(places), columns)

    def _column(self, field: str, leaves: Sequence[Leaf], places: Ints) -> Column:
        table = self._table
        match field:
            case "price":
                prices = table.price[places], table.currency[places]
                return _Prices(len(leaves), *prices, table.currencies)
            case "create_time":
                return _Times(len(leaves), table.created[places])
            case "update_time":
                return _Times(len(leaves), table.updated[places])
            case "title":
                titles = [table.titles[place] for place in places.tolist()]
                return Texts(leaves, titles, np.arange(len(titles)), _titled, Lookups())
            case _:
                texts, codes, facts = _CODED[field]
                shared = getattr(table, texts).texts
                return Texts(leaves, shared, getattr(table, codes)[places], facts, self._lookups)


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter on some places."""

    condition: Filter
    places: int
    """How many."""
    columns: Mapping[str, Column]
    """By field."""

    @property
    def steps(self) -> int:
        """What there is to do: about so many looks at a text or value."""
        return sum(column.steps for column in self.columns.values())

    def passing(self) -> Flags:
        """By place, whether it passes. Raises DeadlineExceeded when nobody waits any more."""
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


@dataclass(frozen=True, slots=True)
class _Arrays:
    """Compared at once: there is nothing to look up."""

    conditions: int
    values: Ints

    @property
    def steps(self) -> int:
        return self.conditions * len(self.values) // 64

    def look_up(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Prices(_Arrays):
    codes: npt.NDArray[np.int16]
    """Of their currencies."""
    currencies: Coded

    def flags(self, leaf: Leaf) -> Flags:
        match leaf:
            case Existence():
                return np.not_equal(self.values, NO_PRICE)
            case Comparison(_, operator, Money() as money):
                return self._in(money.currency) & _COMPARE[operator](self.values, money.micros)
            case Membership(_, values):
                found = np.zeros(len(self.values), np.bool_)
                micros = dict[str, list[int]]()
                for value in values:
                    if isinstance(value, Money) and self.currencies.known(value.currency) >= 0:
                        micros.setdefault(value.currency, []).append(value.micros)
                for currency, some in micros.items():
                    found |= self._in(currency) & np.isin(self.values, np.array(some, np.int64))
                return found
            case _:
                raise AssertionError("a price is compared with money")

    def _in(self, currency: str) -> Flags:
        known = np.not_equal(self.values, NO_PRICE)
        same = np.equal(self.codes, self.currencies.known(currency))
        return np.asarray(known & same, np.bool_)


class _Times(_Arrays):
    def flags(self, leaf: Leaf) -> Flags:
        match leaf:
            case Existence():
                return np.ones(len(self.values), np.bool_)
            case Comparison(_, operator, Time(micros)):
                return _COMPARE[operator](self.values, micros)
            case Membership(_, values):
                micros_of = [value.micros for value in values if isinstance(value, Time)]
                return np.asarray(np.isin(self.values, np.array(micros_of, np.int64)), np.bool_)
            case _:
                raise AssertionError("a time is compared with a time")


def _titled(title: str) -> Facts:
    return Facts(title=title)


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
    """Where the answer stands: all attributes are one field."""
    return ATTRIBUTES if leaf.field.startswith(ATTRIBUTES) else leaf.field
