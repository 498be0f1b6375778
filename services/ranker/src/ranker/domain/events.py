"""What shoppers do, as given, as stored and as read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ranker.domain.features import Money

DAY_MICROS = 86_400 * 1_000_000


class EventType(StrEnum):
    """What a shopper did. The names are stored."""

    IMPRESSION = "IMPRESSION"
    VIEW = "VIEW"
    CLICK = "CLICK"
    ADD_TO_CART = "ADD_TO_CART"
    PURCHASE = "PURCHASE"
    RATING = "RATING"
    HIDE = "HIDE"
    UNHIDE = "UNHIDE"
    SEARCH = "SEARCH"


class Identity(StrEnum):
    """What kind of id a shopper is known by."""

    USER = "user"
    VISITOR = "visitor"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Shopper:
    """Who is asking or acting, by the caller's own id. Lives no longer than a call."""

    kind: Identity
    id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a shopper did, as given; limits are those of the Event message."""

    event_id: str
    shopper: Shopper | None
    type: EventType | None
    product_id: str = ""
    session_id: str = field(default="", repr=False)
    time_micros: int | None = None
    """Microseconds since 1970 (UTC); None = not given."""
    value: float | None = None
    quantity: int = 0
    unit_price: Money | None = None
    order_id: str = ""
    position: int = 0
    scene: str = ""
    attribution_token: str = ""
    query: str = field(default="", repr=False)
    answer_id: str = ""
    """The answer that the token names, as the gateway read it; no part of what the caller gave."""
    arm: str = ""
    """EXPERIMENT/ARM that made it, read alike."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the record holds it: pseudonyms in the place of ids."""

    catalog_id: str
    event: Event
    """With `time_micros` set. Read back, `shopper` is None and `session_id` empty."""
    actor: str
    """Pseudonym of the shopper."""
    session: str
    """Pseudonym of the visit; empty = unknown."""
    key_id: str
    """Which key made the pseudonyms."""
    digest: bytes
    """SHA-256 of the content as given; 32 bytes."""
    received_micros: int
    """When the service took it in, microseconds since 1970 (UTC)."""
    sequence: int = 0
    """The record's own order; 0 = not stored yet."""
    sample_share: float = 1.0
    """Share of the answers whose impressions were kept when this one was, above 0, at most 1: an
    impression stands for ``1 / sample_share`` of them. 1 for all that is no impression."""


class Written(StrEnum):
    """What became of an event that was handed to the record."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    PURGED = "PURGED"
    """A purge was asked for while the event waited in a log: it is not stored."""


class Interaction(NamedTuple):
    """What ranking and training need of an event; a tuple, as each request reads dozens."""

    actor: str
    product_id: str
    type: EventType
    value: float | None
    time_micros: int
    event_id: str
    quantity: int = 0
    """0 = not said."""
    session: str = ""
    """Pseudonym of the visit; empty = unknown."""
    order_id: str = ""
    """Empty = unknown."""


@dataclass(frozen=True, slots=True)
class History:
    """What the record knows of a shopper, read anew for each request."""

    recent: tuple[Interaction, ...] = ()
    """The newest events that speak of interest, newest first, bounded."""
    hidden: frozenset[str] = frozenset()
    """Products that are hidden now."""
    seen: frozenset[str] = frozenset()
    """Products viewed, bought or rated; empty unless asked for."""
    actor: str = ""
    """Whose it is: the user's pseudonym where a merged visitor was asked for; empty = as asked."""
    attributes: tuple[tuple[str, str], ...] = ()
    """What they gave of themselves and consented to have used, as (key, value), sorted."""
    sequences: tuple[int, ...] = field(default=(), compare=False)
    """The record's numbers of `recent`."""
    marks: Mapping[str, int] = field(default_factory=dict, compare=False)
    """By product that is hidden or seen the record's number of an event that says so."""
