"""Events of shoppers, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.money import Money


class EventType(StrEnum):
    """What a shopper did."""

    IMPRESSION = "IMPRESSION"
    """A product was shown in a list. Callers send it; it is never inferred."""
    VIEW = "VIEW"
    """A product's page was opened."""
    CLICK = "CLICK"
    """A product in a list was clicked."""
    ADD_TO_CART = "ADD_TO_CART"
    """A product was added to the cart."""
    PURCHASE = "PURCHASE"
    """A product was bought."""
    RATING = "RATING"
    """A product was rated. ``value`` is required."""
    HIDE = "HIDE"
    """The shopper asked not to see the product again."""
    UNHIDE = "UNHIDE"
    """The shopper undid an earlier HIDE."""
    SEARCH = "SEARCH"
    """The shopper searched. ``product_id`` may be empty."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A new visitor. Give both values to the visitor's browser or app only."""

    visitor_id: str
    proof: str
    """Proof that the suite issued the id, which ``merge_shopper`` takes."""
    expire_time: datetime | None
    """When the proof expires (UTC): after 400 days, the longest time for which browsers store a
    cookie."""


@dataclass(frozen=True, slots=True)
class Event:
    """An action of a shopper. Set ``user`` or ``visitor``."""

    event_id: str
    """The caller's id of this event, 1 to 128 bytes. An event of a shopper that is written again
    with the same content counts once. With different content it is rejected (EVENT_CONFLICT)."""
    type: EventType
    """What the shopper did."""
    product_id: str = ""
    user: str = ""
    """A known customer: the shop's own id."""
    visitor: str = ""
    """A visitor who is not logged in, e.g. a cookie's value."""
    session: str = ""
    """The visit, up to 128 bytes. Empty if unknown."""
    time: datetime | None = None
    """When it happened; must have a time zone. None: now. A time more than 5 minutes in the future
    is rejected (EVENT_TIME_INVALID)."""
    value: float | None = None
    """For RATING: the rating, 0 to 5 (best). For other types: a strength defined by the caller, 0
    to 1,000,000, stored for training. Must be finite. None if none."""
    quantity: int = 0
    """For PURCHASE and ADD_TO_CART: quantity, 1 to 1,000,000. Default: 1."""
    unit_price: Money | None = None
    """For PURCHASE: price paid for one unit. None if unknown."""
    order_id: str = ""
    """For PURCHASE: the order, up to 128 bytes. Empty if unknown. Identifies products that were
    bought together."""
    position: int = 0
    """For IMPRESSION and CLICK: position in the list, from 1. 0 if unknown."""
    scene: str = ""
    """Scene of the answer that was shown, up to 64 characters. Empty if unknown."""
    attribution_token: str = ""
    """``attribution_token`` of the answer that led to this event, unchanged, up to 1,024 bytes.
    Empty if none."""
    query: str = ""
    """For SEARCH: the words typed, up to 512 characters. Empty if unknown."""
    visitor_proof: str = ""
    """The proof that ``create_visitor`` returned with the visitor's id, up to 256 characters. Write
    only: it is not stored. If the caller's only role is the role ``events``, as that of a page, an
    event without a valid one is ``unproven``. Callers with further roles need none."""
