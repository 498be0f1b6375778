"""Facets of a search: counts of products by the values of a field.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass

from sightline_client.values.filters import Filter


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a field."""

    text: str
    """The value as display text: "Wine > Red", "Casa Valduga", "20–50 EUR"."""
    product_count: int
    """Number of products with the value. Variants of one parent count once for each value."""
    filter: Filter
    """the filter that products with the value pass: join it to another with ``&``."""
    filter_text: str
    """The same filter in the syntax of the command line: ``category = "Wine > Red"``."""


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of a field and the number of products with each value."""

    field: str
    values: tuple[FacetValue, ...]
    """Values, ordered by descending number of products, then by ``text``. Ranges of prices and
    numbers are in ascending order."""
    more_count: int
    """Number of further values."""
    missing_count: int
    """Number of products without a value: no brand, no price in this currency, or no category below
    the requested one."""
