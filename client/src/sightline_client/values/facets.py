"""Facets of a search: how many products have each value of a field."""

from dataclasses import dataclass

from sightline_client.values.catalog import Money
from sightline_client.values.filters import Filter


@dataclass(frozen=True, slots=True)
class FacetQuery:
    """A field whose values are to be counted."""

    field: str
    """One of ``FACETED``, or ``attributes.<key>``."""
    top: int = 0
    """Most values, 1 to 200; 0 = 20."""
    below: tuple[str, ...] = ()
    """Of ``category``: those right below this path are counted; () = the topmost ones."""
    bounds: tuple[Money, ...] | tuple[float, ...] = ()
    """Of ``price`` and numbers: where ranges begin, rising; () = each unit of a rating, else 0, 1,
    2, 5, 10, 20 and so on."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a field."""

    text: str
    product_count: int
    """Products that have it; variants of one parent count once."""
    filter: Filter
    """What passes them: join it to the search's own with ``&``."""
    filter_text: str
    """The same, as the command line writes filters."""


@dataclass(frozen=True, slots=True)
class Facet:
    """Counts of products that pass a search's filter, by the values of a field."""

    field: str
    values: tuple[FacetValue, ...]
    """Those of most products first, ranges from the lowest."""
    more_count: int
    """Further values."""
    missing_count: int
    """Products without one."""
