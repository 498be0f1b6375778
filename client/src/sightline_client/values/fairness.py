"""Reports on exposure as plain values."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ExposureGroup:
    """Exposure of one group of products."""

    value: str
    """Empty: products without a value."""
    product_count: int
    share: float
    """Of the exposure, 0 to 1; 1 / log2(1 + place) for each product."""
    share_low: float
    share_high: float
    """95% interval."""
    outcomes_per_exposure: float | None
    """Clicks and purchases for each unit of exposure; None: no impressions were reported."""


@dataclass(frozen=True, slots=True)
class ShopperOpportunity:
    """What shoppers with one value of an attribute got."""

    value: str
    shopper_count: int
    answer_count: int
    success_share: float | None
    """Share of answers of which a product was clicked or bought, 0 to 1; None: no impressions were
    reported."""
    success_low: float | None
    success_high: float | None
    """95% interval; None like the share."""


@dataclass(frozen=True, slots=True)
class ExposureReport:
    """Exposure of groups of products, and what groups of shoppers got."""

    start_time: datetime
    end_time: datetime
    answer_count: int
    from_impressions: bool
    """False: no impressions were reported, and the first 10 places of recorded answers count. What
    they led to is unknown."""
    groups: tuple[ExposureGroup, ...]
    """Largest share first."""
    shoppers: tuple[ShopperOpportunity, ...]
