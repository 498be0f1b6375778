"""Filters on columns: which places pass. The meaning is that of sightline_rules.filters.passes.

A condition on a text that many products share is looked up once for each text and then spread over
the places; prices and times are compared as arrays.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import reduce

import numpy as np
import numpy.typing as npt

from retriever.columns.table import NO_PRICE, Coded, Flags, Ints, Table
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Facts,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    by_key,
    passes,
)

Leaf = Comparison | Membership | Existence

MOST_LOOKUPS = 256
"""Conditions whose texts are kept looked up."""

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
    "attributes": (
        "attributes",
        "attribute",
        lambda text: Facts(attributes=by_key(json.loads(text))),
    ),
}
"""Of fields whose texts many products share: where a table has these and their codes, and what a
text says."""


class Conditions:
    """Evaluates filters on one table, and keeps what it looked up for the next."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._lookups: OrderedDict[Hashable, Flags] = OrderedDict()

    def passing(self, condition: Filter, places: Ints) -> Flags:
        """Which of some places pass a filter that was checked; -1 and empty places do not."""
        found = np.zeros(len(places), np.bool_)
        held = np.flatnonzero(places >= 0)
        some = places[held]
        found[held] = self._evaluate(condition, some) & self._table.alive[some]
        return found

    def _evaluate(self, condition: Filter, places: Ints) -> Flags:
        match condition:
            case All(filters):
                every = np.ones(len(places), np.bool_)
                parts = (self._evaluate(part, places) for part in filters)
                return np.asarray(reduce(np.logical_and, parts, every))
            case Any(filters):
                none = np.zeros(len(places), np.bool_)
                parts = (self._evaluate(part, places) for part in filters)
                return np.asarray(reduce(np.logical_or, parts, none))
            case Not(inner):
                return ~self._evaluate(inner, places)
            case Comparison() | Membership() | Existence():
                return self._leaf(condition, places)

    def _leaf(self, leaf: Leaf, places: Ints) -> Flags:
        table = self._table
        match leaf.field:
            case "price":
                return _priced(leaf, table, places)
            case "create_time":
                return _timed(leaf, table.created[places])
            case "update_time":
                return _timed(leaf, table.updated[places])
            case "title":
                titles = (table.titles[place] for place in places.tolist())
                found = (passes(leaf, Facts(title=title)) for title in titles)
                return np.fromiter(found, np.bool_, len(places))
            case field:
                texts, codes, facts = _CODED.get(field, _CODED["attributes"])
                return self._spread(
                    leaf, getattr(table, texts), getattr(table, codes)[places], facts
                )

    def _spread(
        self,
        leaf: Leaf,
        column: Coded,
        codes: npt.NDArray[np.int8] | npt.NDArray[np.int32],
        facts: Callable[[str], Facts],
    ) -> Flags:
        """By code, whether its text passes."""
        return np.asarray(self._shared(leaf, column, facts)[codes], np.bool_)

    def _shared(self, leaf: Leaf, column: Coded, facts: Callable[[str], Facts]) -> Flags:
        """By code, whether a text of the column passes."""
        key = _key(leaf)
        known = self._lookups.pop(key, None)
        held = 0 if known is None else len(known)
        if known is None or held < len(column.texts):
            new = [passes(leaf, facts(text)) for text in column.texts[held:]]
            more = np.array(new, np.bool_)
            known = more if known is None else np.concatenate([known, more])
        self._lookups[key] = known
        if len(self._lookups) > MOST_LOOKUPS:
            self._lookups.popitem(last=False)
        return known


def _key(leaf: Leaf) -> Hashable:
    """The leaf and the types of its values: to a dictionary 1.0 and True are one."""
    match leaf:
        case Membership(_, values):
            return leaf, tuple(map(type, values))
        case Comparison(_, _, value):
            return leaf, type(value)
        case _:
            return leaf


def _priced(leaf: Leaf, table: Table, places: Ints) -> Flags:
    price = table.price[places]
    match leaf:
        case Existence():
            return np.not_equal(price, NO_PRICE)
        case Comparison(_, operator, Money() as money):
            return _in_currency(money, table, places) & _COMPARE[operator](price, money.micros)
        case Membership(_, values):
            none = np.zeros(len(places), np.bool_)
            monies = [value for value in values if isinstance(value, Money)]
            found = (_in_currency(m, table, places) & np.equal(price, m.micros) for m in monies)
            return np.asarray(reduce(np.logical_or, found, none))
        case _:
            raise AssertionError("a price is compared with money")


def _in_currency(money: Money, table: Table, places: Ints) -> Flags:
    known = np.not_equal(table.price[places], NO_PRICE)
    same = np.equal(table.currency[places], table.currencies.known(money.currency))
    return np.asarray(known & same, np.bool_)


def _timed(leaf: Leaf, times: Ints) -> Flags:
    match leaf:
        case Existence():
            return np.ones(len(times), np.bool_)
        case Comparison(_, operator, Time(micros)):
            return _COMPARE[operator](times, micros)
        case Membership(_, values):
            micros_of = [value.micros for value in values if isinstance(value, Time)]
            return np.asarray(np.isin(times, np.array(micros_of, np.int64)), np.bool_)
        case _:
            raise AssertionError("a time is compared with a time")
