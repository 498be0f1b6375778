"""Facets: the number of products with each value of a field, counted on columns."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.column import AskedFacet, CountedColumn
from retriever.columns.table import ProductTable
from sightline_rules.evaluation.work import Work
from sightline_rules.filters import ATTRIBUTES, Filter
from sightline_rules.markets import named

_SORTED = 4_096
"""Values that are compared at a time."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """Value of a field with its number of products."""

    text: str
    products: int
    """Products that have it; variants of one parent count once."""
    condition: Filter
    """Filter that passes them."""


@dataclass(frozen=True, slots=True)
class Facet:
    """Counted values of a field."""

    field: str
    values: Sequence[FacetValue]
    more: int
    """Number of further values."""
    missing: int
    """Products without a value."""


class Counting:
    """Count of facets on copies of columns, so that it can run in a thread."""

    def __init__(self, table: ProductTable, places: Ints, asked: Sequence[AskedFacet]) -> None:
        """Copy the columns of the products at these places."""
        self._shared = table.families(places) if table.related(places).any() else None
        """Family of each product; `None`: no product has variants."""
        self._products = len(places)
        columns = [(place, _column(table, places, facet)) for place, facet in enumerate(asked)]
        attributes = [each for each in columns if each[1].asked.field.startswith(ATTRIBUTES)]
        others = [[each] for each in columns if not each[1].asked.field.startswith(ATTRIBUTES)]
        self._columns = [*others, attributes] if attributes else others
        """Facets with their places in the request. Those of attributes read one column together."""
        self.steps = len(places) // 64 + sum(each[0][1].steps for each in self._columns)
        """Cost in values compared, approximately."""

    def count(self) -> Work[tuple[int, list[Facet]]]:
        """Return the number of products, and the facets in the order asked. Variants of one parent
        are one product."""
        products, families = self._products, np.arange(self._products)
        if self._shared is not None:
            known, families = np.unique(self._shared, return_inverse=True)
            products = len(known)
        facets: dict[int, Facet] = {}
        for columns in self._columns:
            alone = products == self._products
            pairs = yield from _pairs([column for _, column in columns], families, alone=alone)
            for (place, column), found in zip(columns, pairs, strict=True):
                facets[place] = yield from _counted(column, found, products)
        return products, [facets[place] for place in sorted(facets)]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Values of a facet, and which product family has which."""

    known: Sequence[Hashable]
    """All values."""
    values: Ints
    """The number of a value in `known`, for each pair."""
    families: Ints
    different: bool
    """True: no pair is there twice."""


def _counted(column: CountedColumn, pairs: _Pairs, products: int) -> Work[Facet]:
    """Count each family once for each of its values, and as missing if it has none."""
    known, values, having = pairs.known, pairs.values, pairs.families
    yield
    if not pairs.different:  # each family counts once a value
        values = _distinct(values * max(products, 1) + having) // max(products, 1)
        yield
    counts = np.bincount(values, minlength=len(known))
    shown: Sequence[int] = range(len(known))
    if not column.ranged:
        shown = yield from _commonest(column, known, counts)
    said = [(column.say(known[place]), int(counts[place])) for place in shown]
    facet = [FacetValue(text, count, condition) for (text, condition), count in said]
    without = np.ones(products, np.bool_)
    without[having] = False
    missing = int(np.count_nonzero(without))
    return Facet(column.asked.field, facet, len(known) - len(facet), missing)


def _distinct(numbers: Ints) -> Ints:
    """Return each number once, ascending. `numbers`: from 0.

    np.unique takes several times as long for numbers that are mostly distinct, because it hashes
    them.
    """
    ascending = np.sort(numbers)
    found: Ints = ascending[np.diff(ascending, prepend=-1) != 0]
    return found


def _commonest(
    column: CountedColumn, known: Sequence[Hashable], counts: Ints
) -> Work[Sequence[int]]:
    """Return the places of the greatest counts, equal ones by their text, in parts: a catalog may
    have as many values as products."""

    def text(place: int) -> str:
        value = known[place]
        return value if isinstance(value, str) else column.say(value)[0]

    most = min(column.asked.most, len(counts))
    least = np.partition(counts, -most)[-most] if most else 0
    places: list[int] = np.flatnonzero(counts > least).tolist()
    equal: list[int] = np.flatnonzero(counts == least).tolist()
    first: list[int] = []
    for start in range(0, len(equal), _SORTED):
        yield
        first = nsmallest(most - len(places), [*first, *equal[start : start + _SORTED]], text)
    return sorted([*places, *first], key=lambda place: (-int(counts[place]), text(place)))


def _pairs(columns: Sequence[CountedColumn], families: Ints, *, alone: bool) -> Work[list[_Pairs]]:
    """Return for each facet of one column its values and the families that have them. What the
    column holds is read once for all facets. `alone`: each row is another family."""
    codes, decode = columns[0].codes, columns[0].decode
    rows = np.flatnonzero(codes >= 0)
    present, code = _numbered(codes[rows])
    known = [dict[Hashable, int]() for _ in columns]
    held = [list[list[int]]() for _ in columns]
    parts = list(zip([column.pick for column in columns], known, held, strict=True))
    for each in present.tolist():
        yield
        stored = decode(each)
        for pick, names, numbers in parts:
            different = dict.fromkeys(pick(stored))  # an attribute may have a value twice
            numbers.append([names.setdefault(one, len(names)) for one in different])
    return [
        _Pairs(list(names), *_flat(numbers, code, families[rows]), alone)
        for names, numbers in zip(known, held, strict=True)
    ]


def _numbered(codes: Ints) -> tuple[Ints, Ints]:
    """Return the different codes, ascending, and for each code its place among them. `codes`: from
    0.

    np.unique, which is for codes far above their number, sorts all of them.
    """
    size = int(codes.max(initial=-1)) + 1
    if size > 4 * len(codes):
        return np.unique(codes, return_inverse=True)
    there = np.zeros(size, np.bool_)
    there[codes] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[codes]


def _flat(held: Sequence[Sequence[int]], code: Ints, families: Ints) -> tuple[Ints, Ints]:
    """Return the values of each row, one after another, and for each the row's family.

    `held`: values by code. `code`: of each row.
    """
    lengths = np.array([len(each) for each in held], np.int64)
    flat = np.array([number for each in held for number in each], np.int64)
    if (lengths == 1).all():
        return flat[code], families
    many = lengths[code]
    starts = (lengths.cumsum() - lengths)[code]
    inside = np.arange(many.sum()) - np.repeat(many.cumsum() - many, many)
    return flat[np.repeat(starts, many) + inside], np.repeat(families, many)


def _column(table: ProductTable, places: Ints, asked: AskedFacet) -> CountedColumn:
    name = ATTRIBUTES[:-1] if asked.field.startswith(ATTRIBUTES) else asked.field
    return table.column(named(name, asked.market_id)).counted(asked, places)
