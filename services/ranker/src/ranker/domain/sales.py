"""Units of products that were sold, by day. Days are numbered since 1970 (UTC)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MOST_PRODUCTS = 1_000
MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class ProductSales:
    """Units of a product."""

    first_day: int = 0
    """First day with any event of interest, also before those requested; 0: none."""
    units: Mapping[int, int] = field(default_factory=dict)
    """By requested day, ascending, without zeros."""


@dataclass(frozen=True, slots=True)
class CountedSales:
    """Units of several products, and which days have any events of the catalog."""

    first_day: int
    """First of the requested days with events of interest; 0: none."""
    last_day: int
    products: Sequence[ProductSales]
    """In the order of the request."""
