"""Events of shoppers, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.money import Money


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
    """The shopper asked not to see the product again."""
    UNHIDE = "UNHIDE"
    SEARCH = "SEARCH"
    """The shopper searched; ``product_id`` may be empty."""


@dataclass(frozen=True, slots=True)
class Event:
    """An action of a shopper. Set ``user`` or ``visitor``."""

    event_id: str
    """The caller's id of this event: written again with the same content it counts once."""
    type: EventType
    product_id: str = ""
    user: str = ""
    """A known customer: the shop's own id."""
    visitor: str = ""
    """A visitor who is not logged in, e.g. a cookie's value."""
    session: str = ""
    time: datetime | None = None
    """When it happened; must have a time zone. `None`: now."""
    value: float | None = None
    """For RATING: 0 to 5, 5 = best."""
    quantity: int = 0
    """For PURCHASE and ADD_TO_CART; 0: 1."""
    unit_price: Money | None = None
    order_id: str = ""
    position: int = 0
    """For IMPRESSION and CLICK: position in the list, from 1; 0 if unknown."""
    scene: str = ""
    attribution_token: str = ""
    """Token of the answer that led to this event."""
    query: str = ""
    """For SEARCH: the words typed."""
    visitor_proof: str = ""
    """Proof that the suite issued the visitor's id (`Visitor.proof`). Searches of a key for events
    alone count for suggestions only with it."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A visitor whose id the suite generated. Give both values to the visitor's browser or app
    only."""

    visitor_id: str
    proof: str
    """Proof that the suite issued the id, required to merge it into a user."""
    expire_time: datetime | None
    """When the proof expires."""


@dataclass(frozen=True, slots=True)
class EventFailure:
    """An event that was rejected."""

    event_id: str
    error: SightlineError


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Outcomes of one batch, yielded as soon as it is durable."""

    written_count: int
    """Number of new events."""
    duplicate_count: int
    """Number of events that were stored before."""
    failures: tuple[EventFailure, ...]
    done: int
    """Number of events done so far, including this batch."""
    withheld_count: int = 0
    """Number of events that are not stored: their shoppers consent to no use of them."""


@dataclass(frozen=True, slots=True)
class EventReport:
    """Outcomes of all events."""

    written_count: int
    duplicate_count: int
    failures: tuple[EventFailure, ...]
    withheld_count: int = 0
