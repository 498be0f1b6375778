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
        self._shared = table.families(places)
        self._columns = [_column(table, places, facet) for facet in asked]
        self.steps = len(places) // 64 + sum(each.steps for each in self._columns)
        """Cost in values compared, approximately."""

    def count(self) -> Work[tuple[int, list[Facet]]]:
        """Return the number of products, and the facets in the order asked. Variants of one parent
        are one product."""
        present, families = np.unique(self._shared, return_inverse=True)
        facets = []
        for each in self._columns:
            facet = yield from _counted(each, families, len(present))
            facets.append(facet)
        return len(present), facets


def _counted(column: CountedColumn, families: Ints, products: int) -> Work[Facet]:
    """Count each family once for each of its values, and as missing if it has none."""
    known, values, having = yield from _pairs(column, families)
    yield
    pairs = np.unique(values * max(products, 1) + having)  # each family once a value
    yield
    counts = np.bincount(pairs // max(products, 1), minlength=len(known))
    shown: Sequence[int] = range(len(known))
    if not column.ranged:
        shown = yield from _commonest(column, known, counts)
    said = [(column.say(known[place]), int(counts[place])) for place in shown]
    facet = [FacetValue(text, count, condition) for (text, condition), count in said]
    missing = products - len(np.unique(having))
    return Facet(column.asked.field, facet, len(known) - len(facet), missing)


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


def _pairs(column: CountedColumn, families: Ints) -> Work[tuple[Sequence[Hashable], Ints, Ints]]:
    """Return all values, and for each value of each place its number and the place's family."""
    rows = np.flatnonzero(column.codes >= 0)
    present, code = np.unique(column.codes[rows], return_inverse=True)
    known: dict[Hashable, int] = {}
    held: list[list[int]] = []
    for each in present.tolist():
        yield
        held.append([known.setdefault(one, len(known)) for one in column.read(each)])
    lengths = np.array([len(each) for each in held], np.int64)
    flat = np.array([number for each in held for number in each], np.int64)
    many = lengths[code]
    starts = (lengths.cumsum() - lengths)[code]
    inside = np.arange(many.sum()) - np.repeat(many.cumsum() - many, many)
    return list(known), flat[np.repeat(starts, many) + inside], np.repeat(families[rows], many)


def _column(table: ProductTable, places: Ints, asked: AskedFacet) -> CountedColumn:
    name = ATTRIBUTES[:-1] if asked.field.startswith(ATTRIBUTES) else asked.field
    return table.columns[name].counted(asked, places)
