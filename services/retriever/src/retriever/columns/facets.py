"""How many products have each value of a field, counted on columns."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from retriever.columns.table import NO_PRICE, Ints, Table
from servicekit import deadlines
from sightline_rules import categories
from sightline_rules.facts import by_key
from sightline_rules.filters import (
    ATTRIBUTES,
    All,
    Availability,
    Comparison,
    Filter,
    Money,
    Operator,
)

MICROS = 1_000_000
STEPS = (1, 2, 5)
"""Where ranges of a price begin, times powers of ten."""
CATEGORY, PRICE = "category", "price"

_CODED = {
    CATEGORY: ("categories", "category"),
    "brand": ("brands", "brand"),
    "availability": ("availabilities", "availability"),
    "tags": ("tags", "tag"),
    ATTRIBUTES: ("attributes", "attribute"),
}
"""Of fields whose texts many products share: where a table has these and their codes."""

FIELDS = (CATEGORY, "brand", PRICE, "availability", "tags")
"""What can be counted, beside attributes."""


@dataclass(frozen=True, slots=True)
class AskedFacet:
    """What is to be counted."""

    field: str
    most: int
    """Values to answer."""
    below: str = ""
    """Of a category: the path whose next level is counted; "" = the topmost level."""
    bounds: tuple[Money, ...] = ()
    """Of a price: where ranges begin, rising, of one currency; none = by `STEPS`."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a field."""

    text: str
    products: int
    """That have it; variants of one parent count once."""
    condition: Filter
    """What passes them."""


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of a field."""

    field: str
    values: Sequence[FacetValue]
    more: int
    """Further values."""
    missing: int
    """Products without a value."""


Said: TypeAlias = tuple[str, Filter]
"""A value for people, and what passes the products that have it."""


@dataclass(frozen=True, slots=True)
class _Column:
    """What stands in a field at some places."""

    asked: AskedFacet
    codes: Ints
    """By place; −1 = nothing"""
    read: Callable[[int], Sequence[Said]]
    """What a code says: none, one or several values"""


class Counting:
    """What a count needs of a table, which no write changes any more: it may run in a thread."""

    def __init__(self, table: Table, places: Ints, asked: Sequence[AskedFacet]) -> None:
        """Of the products at these places."""
        self._shared = table.families(places)
        self._columns = [_column(table, places, facet) for facet in asked]
        self.steps = len(places) * (1 + len(asked)) // 64
        """What there is to do: about so many looks at a value."""

    def count(self) -> tuple[int, list[Facet]]:
        """How many products there are, and the facets in the order asked. Variants of one parent
        are one product."""
        present, families = np.unique(self._shared, return_inverse=True)
        return len(present), [_counted(each, families, len(present)) for each in self._columns]


def _counted(column: _Column, families: Ints, products: int) -> Facet:
    """Each family counts once for each of its values, and is missing where it has none."""
    said, values, having = _pairs(column, families)
    pairs = np.unique(values * max(products, 1) + having)  # each family once a value
    counts = np.bincount(pairs // max(products, 1), minlength=len(said)).tolist()
    found = [
        FacetValue(text, count, condition)
        for (text, condition), count in zip(said, counts, strict=True)
    ]
    ranged = column.asked.field == PRICE  # its codes rise, and all ranges are answered
    if not ranged:
        found.sort(key=lambda one: (-one.products, one.text))
    most = len(found) if ranged else column.asked.most
    missing = products - len(np.unique(having))
    return Facet(column.asked.field, found[:most], len(found[most:]), missing)


def _pairs(column: _Column, families: Ints) -> tuple[Sequence[Said], Ints, Ints]:
    """All values, and of each place that has one, or several, their numbers beside its family.

    Raises DeadlineExceeded when nobody waits any more.
    """
    rows = np.flatnonzero(column.codes >= 0)
    present, code = np.unique(column.codes[rows], return_inverse=True)
    said: dict[Said, int] = {}
    held: list[list[int]] = []
    for each in present.tolist():
        deadlines.check()
        held.append([said.setdefault(one, len(said)) for one in column.read(each)])
    lengths = np.array([len(each) for each in held], np.int64)
    flat = np.array([number for each in held for number in each], np.int64)
    many = lengths[code]
    starts = (lengths.cumsum() - lengths)[code]
    inside = np.arange(many.sum()) - np.repeat(many.cumsum() - many, many)
    return list(said), flat[np.repeat(starts, many) + inside], np.repeat(families[rows], many)


def _column(table: Table, places: Ints, asked: AskedFacet) -> _Column:
    if asked.field == PRICE:
        return _prices(table, places, asked)
    of, column = _CODED[ATTRIBUTES if asked.field.startswith(ATTRIBUTES) else asked.field]
    texts: list[str] = getattr(table, of).texts  # grows, but never changes
    codes = getattr(table, column)[places].astype(np.int64)
    return _Column(asked, codes, lambda code: _said(asked, texts[code]))


def _said(asked: AskedFacet, text: str) -> Sequence[Said]:
    """The values that a text of a column stands for, each once."""
    match asked.field:
        case "category":
            levels, depth = categories.split(text), len(categories.split(asked.below)) + 1
            path = categories.join(levels[:depth])
            inside = not asked.below or categories.is_within(text, asked.below)
            return [_equal(asked.field, path)] if inside and len(levels) >= depth else []
        case "tags":
            return [_equal(asked.field, tag) for tag in json.loads(text)]
        case "availability":
            return [(text, Comparison(asked.field, Operator.EQUAL, Availability(text)))]
        case "brand":
            return [_equal(asked.field, text)] if text else []
        case _:
            values = by_key(json.loads(text)).get(asked.field.removeprefix(ATTRIBUTES), ())
            return [_attribute(asked.field, value) for value in values]


def _equal(field: str, text: str) -> Said:
    return text, Comparison(field, Operator.EQUAL, text)


def _attribute(field: str, value: str | float | bool) -> Said:
    shown = value if isinstance(value, str) else json.dumps(value).removesuffix(".0")
    return shown, Comparison(field, Operator.EQUAL, value)


def _prices(table: Table, places: Ints, asked: AskedFacet) -> _Column:
    micros, codes = table.price[places], table.currency[places]
    known = micros != NO_PRICE
    texts = table.currencies.texts
    if asked.bounds:
        currency = asked.bounds[0].currency
        same = known & (codes == table.currencies.known(currency))
        bounds = np.array([each.micros for each in asked.bounds], np.int64)
    else:
        usual = np.bincount(codes[known]).argmax() if known.any() else 0
        currency = texts[int(usual)] if texts else ""
        same = known & (codes == usual)
        bounds = _bounds(int(micros[same].max(initial=0)))
    ranges = np.searchsorted(bounds, micros, side="right") - 1
    return _Column(asked, np.where(same, ranges, -1), lambda code: [_range(bounds, code, currency)])


def _bounds(most: int) -> Ints:
    """0, then 1, 2, 5, 10, … units up to the dearest."""
    found, power = [0], MICROS
    while power <= most:
        found += [step * power for step in STEPS if step * power <= most]
        power *= 10
    return np.array(found, np.int64)


def _range(bounds: Ints, place: int, currency: str) -> Said:
    low, last = int(bounds[place]), place == len(bounds) - 1
    from_low = Comparison(PRICE, Operator.GREATER_OR_EQUAL, Money(currency, low))
    if last:
        return f"{_units(low)} {currency} and more", from_low
    high = int(bounds[place + 1])
    below = Comparison(PRICE, Operator.LESS, Money(currency, high))
    return f"{_units(low)}–{_units(high)} {currency}", All((from_low, below))


def _units(micros: int) -> str:
    units, rest = divmod(micros, MICROS)
    return str(units) if not rest else f"{units}.{rest:06d}".rstrip("0")
