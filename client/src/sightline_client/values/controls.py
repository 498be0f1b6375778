"""Controls: decisions about products that override their scores."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.filters import Filter


class ControlKind(StrEnum):
    """Kind of a control."""

    UNKNOWN = "UNKNOWN"
    PIN = "PIN"
    """Gives products a place."""
    BOOST = "BOOST"
    """Adds to relevance, which is 0 to 1 among the best 100."""
    BURY = "BURY"
    """Puts products behind all others."""
    EXCLUDE = "EXCLUDE"
    """Leaves products out."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control: ``Control("hero", ControlKind.PIN, products=["wine-7"], place=1)``."""

    name: str
    """1 to 64 of a-z, 0-9, _ and -; none twice in a request."""
    kind: ControlKind
    products: tuple[str, ...] | list[str] = ()
    """Up to 100, of a pin up to 20; or a ``filter``."""
    filter: Filter | None = None
    """Those that pass; not for a pin."""
    place: int = 0
    """Of a pin: the place of the first, 1 to 200."""
    boost: float = 0.0
    """Of a boost: more than 0, at most 10."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    daily_budget: int = 0
    """Of pins and boosts: at how many first pages a day (UTC) it may act; 0 = any number."""


class ControlResult(StrEnum):
    """Result of a control, or of one product that it pins."""

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
    """Outcome of a control, or of one product that it pins."""

    control: str
    scene: str
    """The scene that has it; "" = the request."""
    product_id: str
    """"" = the control as a whole."""
    outcome: ControlResult
