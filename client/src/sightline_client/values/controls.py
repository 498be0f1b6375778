"""Controls: decisions about products that override their scores.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.filters import Filter


class ControlKind(StrEnum):
    """Action of a control."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    PIN = "PIN"
    """Pins products to places: the first of ``product_ids`` that may be shown is placed at
    ``place``, the next ones after it. They become candidates even if no branch found them. A pinned
    product is skipped, and the next one moves up, if the request excludes it, it does not pass the
    filter, the shopper hid it, or it can't be bought and the scene excludes such products."""
    BOOST = "BOOST"
    """Adds ``boost`` to the relevance, which is the raw score scaled from 0 (lowest of the best
    100) to 1 (highest). Raw score and calibrated score are not changed."""
    BURY = "BURY"
    """Places products after all others."""
    EXCLUDE = "EXCLUDE"
    """Excludes products from the answer."""


class ControlResult(StrEnum):
    """Effect of the control."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    APPLIED = "APPLIED"
    """The control is active; a pinned product has its place."""
    NOT_YET = "NOT_YET"
    """``start_time`` is in the future."""
    ENDED = "ENDED"
    """``end_time`` has passed."""
    OUT_OF_BUDGET = "OUT_OF_BUDGET"
    """The daily budget is used up."""
    NOT_FOUND = "NOT_FOUND"
    """The product is not in the catalog."""
    FILTERED = "FILTERED"
    """The product does not pass the request's filter, or is outside the scene's categories."""
    OUT_OF_STOCK = "OUT_OF_STOCK"
    """The product can't be bought now, and the scene excludes such products."""
    EXCLUDED = "EXCLUDED"
    """The request or another control excludes the product, or the request has candidates and it is
    none of them, or it is an anchor and the scene does not show anchors."""
    HIDDEN = "HIDDEN"
    """The shopper hid the product."""
    SEEN = "SEEN"
    """The shopper has seen the product, and the scene excludes such products."""
    COLLAPSED = "COLLAPSED"
    """The product is a near-duplicate of one of the request's own products, or of one pinned before
    it."""
    UNAVAILABLE = "UNAVAILABLE"
    """Data needed by the control could not be read; see ``degradations``."""
    UNMET = "UNMET"
    """The request does not meet the control's condition (``when`` in the scene's file)."""


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """Effect of a control, or of a control on one product that it pins."""

    control: str
    """Name of the control."""
    scene: str
    """Scene that defines the control. Empty if the request does."""
    product_id: str
    """For PIN: one of its products. Empty for the control as a whole."""
    outcome: ControlResult
    """Effect of the control."""


@dataclass(frozen=True, slots=True)
class Control:
    """A rule that overrides the scores of products. A scene's file has the same entries with the
    same names and limits. Controls of a request precede those of its scene. Contradicting controls
    of one list are rejected with INVALID_ARGUMENT and the field, e.g. "controls[1].place": a place
    or a product pinned twice; a product that is pinned and also excluded or buried, or boosted and
    also buried or excluded, by its id."""

    name: str
    """Name, 1 to 64 characters of a-z, 0-9, _ and -. Unique in its list. Identifies the control in
    reports, records and budgets."""
    kind: ControlKind
    """Action."""
    products: tuple[str, ...] | list[str] = ()
    """Products, 1 to 100 (PIN: 1 to 20), without duplicates. Set either these or ``filter``."""
    filter: Filter | None = None
    """The control applies to products that pass. Not for PIN. At most 8 controls of a list have a
    filter. The filter of an EXCLUDE may have up to two levels of nesting less than other filters,
    and all EXCLUDE filters of a list together must be within the limits of one filter."""
    place: int = 0
    """For PIN: place of the first product, 1 to 200. The place of the last product must be at most
    200 too."""
    boost: float = 0.0
    """For BOOST: more than 0, at most 10. Several boosts of a product are added."""
    start_time: datetime | None = None
    """When the control starts to apply, inclusive (UTC). If None, it applies from the beginning."""
    end_time: datetime | None = None
    """When the control ceases to apply, exclusive (UTC), after ``start_time``. If None, it does not
    expire."""
    daily_budget: int = 0
    """For PIN and BOOST: maximum number of first pages per day (UTC) that show a product that the
    control pinned or moved up, up to 1e12. When it is used up, the control is inactive until the
    next day. 0 means no limit. Counted for the catalog, by scene (or "request") and name. Answers
    that several gateways give within about two seconds may exceed it."""
