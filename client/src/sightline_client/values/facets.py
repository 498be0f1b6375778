"""Facets of a search: counts of products by the values of a field."""

from dataclasses import dataclass

from sightline_client.values.catalog import Money
from sightline_client.values.filters import Filter


@dataclass(frozen=True, slots=True)
class FacetQuery:
    """A field whose values are to be counted."""

    field: str
    """One of ``FACETED``, or ``attributes.<key>``."""
    top: int = 0
    """Maximum number of values, 1 to 200; 0: 20."""
    below: tuple[str, ...] = ()
    """For ``category``: count the categories directly below this path; (): the topmost ones."""
    bounds: tuple[Money, ...] | tuple[float, ...] = ()
    """For ``price`` and numbers: lower bounds of ranges, ascending. Empty: each unit of a rating,
    else 0, 1, 2, 5, 10, 20 and so on.
    """


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a field."""

    text: str
    product_count: int
    """Number of products with the value; variants of one parent count once."""
    filter: Filter
    """Filter that passes these products: join it to the search's filter with ``&``."""
    filter_text: str
    """The same filter in the syntax of the command line."""


@dataclass(frozen=True, slots=True)
class Facet:
    """Counts of products that pass a search's filter, by the values of a field."""

    field: str
    values: tuple[FacetValue, ...]
    """Those of most products first, ranges from the lowest."""
    more_count: int
    """Number of further values."""
    missing_count: int
    """Number of products without a value."""
