"""Facets: the number of products with each value of a field, counted on columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.column import AskedFacet, CountedColumn, Said
from retriever.columns.table import ProductTable
from servicekit import deadlines
from sightline_rules.filters import ATTRIBUTES, Filter


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
        self.steps = len(places) * (1 + len(asked)) // 64
        """Cost in values compared, approximately."""

    def count(self) -> tuple[int, list[Facet]]:
        """Return the number of products, and the facets in the order asked. Variants of one parent
        are one product. Raises DeadlineExceeded."""
        present, families = np.unique(self._shared, return_inverse=True)
        return len(present), [_counted(each, families, len(present)) for each in self._columns]


def _counted(column: CountedColumn, families: Ints, products: int) -> Facet:
    """Count each family once for each of its values, and as missing if it has none."""
    said, values, having = _pairs(column, families)
    pairs = np.unique(values * max(products, 1) + having)  # each family once for each value
    counts = np.bincount(pairs // max(products, 1), minlength=len(said)).tolist()
    found = [
        FacetValue(text, count, condition)
        for (text, condition), count in zip(said, counts, strict=True)
    ]
    if not column.ranged:
        found.sort(key=lambda one: (-one.products, one.text))
    most = len(found) if column.ranged else column.asked.most
    missing = products - len(np.unique(having))
    return Facet(column.asked.field, found[:most], len(found[most:]), missing)


def _pairs(column: CountedColumn, families: Ints) -> tuple[Sequence[Said], Ints, Ints]:
    """Return all values, and for each value of each place its number and the place's family.

    Raises DeadlineExceeded.
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


def _column(table: ProductTable, places: Ints, asked: AskedFacet) -> CountedColumn:
    name = ATTRIBUTES[:-1] if asked.field.startswith(ATTRIBUTES) else asked.field
    return table.columns[name].counted(asked, places)
