"""Columns in memory: their values, and the queries of filters and facets."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Ints, Places
from sightline_rules.evaluation.columns import AskedColumn
from sightline_rules.evaluation.texts import Lookups
from sightline_rules.fields import Field
from sightline_rules.filters import Filter, Leaf, Money

Cells: TypeAlias = Mapping[str, Any]
"""Cells of a product's SQL columns, by name."""


@dataclass(frozen=True, slots=True)
class AskedFacet:
    """Field whose values a facet counts."""

    field: str
    most: int
    """Values in the answer."""
    below: str = ""
    """For a category: the path whose next level is counted. If empty, the topmost level."""
    bounds: tuple[Money, ...] | tuple[float, ...] = ()
    """For money and numbers: lower bounds, ascending, one currency. If empty, the field's own."""
    market_id: str = ""
    """Market whose values are counted; empty: the products' own."""


Said: TypeAlias = tuple[str, Filter]
"""A readable value, and the filter for the products that have it."""


@dataclass(frozen=True, slots=True)
class CountedColumn:
    """Codes of a field's values at some places."""

    asked: AskedFacet
    codes: Ints
    """The code at each place; -1: no value."""
    decode: Callable[[int], Any]
    """Returns what a code stands for. Facets of one column share it: it is called once a code."""
    pick: Callable[[Any], Sequence[Hashable]]
    """Returns the facet's values of what was decoded: none, one or several."""
    say: Callable[[Any], Said]
    """Returns what is answered of a value. Only called for the values that are answered."""
    steps: int
    """The work of reading all values, as of a filter."""
    ranged: bool = False
    """True: codes rise with the value, and the facet answers all of them in this order."""


class Column(Protocol):
    """Values of one field, by place. Not for several threads."""

    field: Field
    unknown: bool
    """True if no product of the table ever had a value: its cells need not be read."""

    @property
    def nbytes(self) -> int:
        """Return the bytes of its arrays and texts that no other product shares."""

    def grow(self, size: int) -> None:
        """Make room for `size` places."""

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        """Store the cells of products at their places."""

    def asked(self, leaves: Sequence[Leaf], places: Places, lookups: Lookups) -> AskedColumn:
        """Return what conditions on the field need of some places."""

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:
        """Return the values at some places for a facet. Only of kinds that are countable."""

    def cells(self, places: Ints) -> list[list[Any]]:
        """Return the cells at some places, a list for each column of CandidateColumns."""


def grown(values: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return an array of `size` rows with the same beginning, whose end takes no memory until it is
    written. The old one stays as it is for threads."""
    made = np.zeros((size, *values.shape[1:]), values.dtype)
    made[: len(values)] = values
    return made
