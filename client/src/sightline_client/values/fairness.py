"""Reports on exposure as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ExposureGroup:
    """Exposure of one group of products."""

    value: str
    """Value by which the products are grouped; empty: products without one."""
    product_count: int
    """Number of its products that were shown."""
    share: float
    """Share of the exposure, 0 to 1."""
    share_low: float
    """Its 95% interval: a ratio of sums over shoppers; an answer without a shopper counts as
    one."""
    share_high: float
    """Upper end of the interval."""
    outcomes_per_exposure: float | None
    """Clicks and purchases of shown products, for each unit of exposure. The same for all groups if
    exposure follows relevance. None without impressions."""


@dataclass(frozen=True, slots=True)
class ShopperOpportunity:
    """What shoppers with one value of an attribute got."""

    value: str
    """Value of the attribute."""
    shopper_count: int
    """Number of shoppers."""
    answer_count: int
    """Number of their answers that are counted."""
    success_share: float | None
    """Share of these answers of which a product was clicked or bought, 0 to 1. None without
    impressions, like its interval."""
    success_low: float | None
    """Its 95% interval (Wilson 1927), for as many independent answers as have the spread of a ratio
    of sums over shoppers."""
    success_high: float | None
    """Upper end of the interval."""


@dataclass(frozen=True, slots=True)
class ExposureReport:
    """Exposure of groups of products. The exposure of a product at place i is 1 / log2(1 + i)."""

    start_time: datetime
    """Start of the period, inclusive (UTC)."""
    end_time: datetime
    """End of the period, exclusive (UTC)."""
    answer_count: int
    """Number of answers that are counted, at most the 20,000 newest."""
    from_impressions: bool
    """True if impressions were reported: they are counted. False: the first 10 places of recorded
    answers; what they led to is unknown then, since it is counted for shown products, and figures
    of outcomes are unset."""
    groups: tuple[ExposureGroup, ...]
    """Groups, largest share first, at most 1,000."""
    shoppers: tuple[ShopperOpportunity, ...]
    """With ``shoppers_by``: what groups of shoppers got, by value. Groups of fewer than 20 shoppers
    are omitted."""
