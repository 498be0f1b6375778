"""Events of shoppers, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.catalog import Money


class EventType(StrEnum):
    """Type of an event."""

    IMPRESSION = "IMPRESSION"
    """A product was shown in a list."""
    VIEW = "VIEW"
    """A product's page was opened."""
    CLICK = "CLICK"
    """A product in a list was clicked."""
    ADD_TO_CART = "ADD_TO_CART"
    PURCHASE = "PURCHASE"
    RATING = "RATING"
    """A product was rated: ``value`` is required, 0 to 5."""
    HIDE = "HIDE"
    """Never show me this product again."""
    UNHIDE = "UNHIDE"
    SEARCH = "SEARCH"
    """A search was made; ``product_id`` may be empty."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a shopper did. Give ``user`` or ``visitor``."""

    event_id: str
    """The caller's own id: written again with the same content it counts once."""
    type: EventType
    product_id: str = ""
    user: str = ""
    """A known customer: the shop's own id."""
    visitor: str = ""
    """A visitor who is not logged in, e.g. a cookie's value."""
    session: str = ""
    time: datetime | None = None
    """When; must carry a time zone. None = now."""
    value: float | None = None
    """For RATING: 0 to 5, 5 = best."""
    quantity: int = 0
    """For PURCHASE and ADD_TO_CART; 0 = not said, taken as 1."""
    unit_price: Money | None = None
    order_id: str = ""
    position: int = 0
    """For IMPRESSION and CLICK: place in the list, 1 = first; 0 = not said."""
    scene: str = ""
    attribution_token: str = ""
    """Of the answer that led here."""
    query: str = ""
    """For SEARCH: what was typed."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A visitor whose id the suite made. Both go to the visitor's browser or app alone."""

    visitor_id: str
    proof: str
    """Shows that the id is the visitor's, when it is merged into a user."""
    expire_time: datetime | None
    """Until when the proof is valid."""


@dataclass(frozen=True, slots=True)
class EventFailure:
    """An event that was rejected."""

    event_id: str
    error: SightlineError


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Outcomes of one batch, yielded as soon as it is durable."""

    written_count: int
    """How many were new."""
    duplicate_count: int
    """How many were stored before."""
    failures: tuple[EventFailure, ...]
    done: int
    """Events settled so far, this batch included."""


@dataclass(frozen=True, slots=True)
class EventReport:
    """Outcomes of all events."""

    written_count: int
    duplicate_count: int
    failures: tuple[EventFailure, ...]
