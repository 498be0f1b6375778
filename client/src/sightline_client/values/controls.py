"""Controls: decisions about products that override their scores."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.filters import Filter


class ControlKind(StrEnum):
    """Kind of a control."""

    UNKNOWN = "UNKNOWN"
    PIN = "PIN"
    """Pins products to places."""
    BOOST = "BOOST"
    """Adds to the relevance, which is 0 to 1 among the best 100."""
    BURY = "BURY"
    """Places products behind all others."""
    EXCLUDE = "EXCLUDE"
    """Excludes products."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control: ``Control("hero", ControlKind.PIN, products=["wine-7"], place=1)``."""

    name: str
    """1 to 64 characters of a-z, 0-9, _ and -; unique in a request."""
    kind: ControlKind
    products: tuple[str, ...] | list[str] = ()
    """Up to 100 product ids, for a pin up to 20; or set ``filter``."""
    filter: Filter | None = None
    """Applies to products that pass; not for a pin."""
    place: int = 0
    """For a pin: place of the first product, 1 to 200."""
    boost: float = 0.0
    """For a boost: more than 0, at most 10."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    daily_budget: int = 0
    """For pins and boosts: maximum number of first pages a day (UTC) on which it has an effect; 0:
    no limit."""


class ControlResult(StrEnum):
    """Effect of a control, or of a control on one product that it pins."""

    UNKNOWN = "UNKNOWN"
    APPLIED = "APPLIED"
    NOT_YET = "NOT_YET"
    ENDED = "ENDED"
    OUT_OF_BUDGET = "OUT_OF_BUDGET"
    NOT_FOUND = "NOT_FOUND"
    FILTERED = "FILTERED"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    EXCLUDED = "EXCLUDED"
    HIDDEN = "HIDDEN"
    SEEN = "SEEN"
    COLLAPSED = "COLLAPSED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """Effect of a control, or of a control on one product that it pins."""

    control: str
    scene: str
    """Scene of the control; "" for one of the request."""
    product_id: str
    """"" for the control as a whole."""
    outcome: ControlResult
