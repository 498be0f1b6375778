"""Events of shoppers, as given, as stored and as read."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from ranker.domain.features import Money
from sightline_rules.fast_dataclass import fast_dataclass

T = TypeVar("T")

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


class StoredAs(StrEnum):
    """How a text that may name a person is stored."""

    PLAIN = "plain"
    HASHED = "hashed"
    DROPPED = "dropped"


class Identity(StrEnum):
    """Kind of a shopper's id."""

    USER = "user"
    VISITOR = "visitor"
    SESSION = "session"


@fast_dataclass(frozen=True, slots=True)
class Shopper:
    """The shopper, by the caller's own id. Exists only during a call."""

    kind: Identity
    id: str = field(repr=False)


@fast_dataclass(frozen=True, slots=True)
class Event:
    """An event as given; limits are those of the Event message."""

    event_id: str
    shopper: Shopper | None
    type: EventType | None
    product_id: str = ""
    session_id: str = field(default="", repr=False)
    time_micros: int | None = None
    """Microseconds since 1970 (UTC); `None` if not given."""
    value: float | None = None
    quantity: int = 0
    unit_price: Money | None = None
    order_id: str = ""
    position: int = 0
    scene: str = ""
    attribution_token: str = ""
    query: str = field(default="", repr=False)
    answer_id: str = ""
    """The answer named by the token, as read by the gateway; not part of the caller's event."""
    arm: str = ""
    """EXPERIMENT/ARM of that answer, as read by the gateway."""
    unproven: bool = False
    """The gateway found no proof of the shopper: the event counts for nothing that others see."""
    new_visitor: bool = False
    """The shopper's proof was less than a day old: its searches do not count for others."""


@fast_dataclass(frozen=True, slots=True)
class StoredEvent:
    """A stored event, with pseudonyms instead of ids."""

    catalog_id: str
    event: Event
    """With `time_micros` set. When read back, `shopper` is `None` and `session_id` is empty."""
    actor: str
    """Pseudonym of the shopper."""
    session: str
    """Pseudonym of the visit; empty if unknown."""
    key_id: str
    """Id of the key that made the pseudonyms."""
    digest: bytes
    """SHA-256 of the content as given; 32 bytes."""
    received_micros: int
    """When the service received it, microseconds since 1970 (UTC)."""
    sequence: int = 0
    """Sequence number; 0 if not stored yet."""
    sample_share: float = 1.0
    """Share of the shoppers whose impressions were stored at that time, above 0, at most 1: an
    impression represents ``1 / sample_share`` of them. 1 for all other events."""


class Written(StrEnum):
    """Result of writing an event to the record."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    PURGED = "PURGED"
    """Not stored: it was purged while it waited in a log."""
    WITHHELD = "WITHHELD"
    """Not stored: its shopper consents to no use of it."""


class Interaction(NamedTuple):
    """Fields of an event that ranking and training need; a tuple, because each request reads
    dozens."""

    actor: str
    product_id: str
    type: EventType
    value: float | None
    time_micros: int
    event_id: str
    quantity: int = 0
    """0 if not given."""
    session: str = ""
    """Pseudonym of the visit; empty if unknown."""
    order_id: str = ""
    """Empty if unknown."""
    unproven: bool = False
    """It counts for the shopper alone (Event.unproven)."""


@fast_dataclass(frozen=True, slots=True)
class History:
    """A shopper's events and attributes, read for each request."""

    recent: tuple[Interaction, ...] = ()
    """The newest events of interest, newest first, bounded."""
    hidden: frozenset[str] = frozenset()
    """Products that are currently hidden."""
    seen: frozenset[str] = frozenset()
    """Products viewed, bought or rated; empty unless requested."""
    actor: str = ""
    """Pseudonym of the shopper; for a merged visitor that of the user; empty: as requested."""
    attributes: tuple[tuple[str, str], ...] = ()
    """Attributes given with consent, as (key, value), sorted."""
    sequences: tuple[int, ...] = field(default=(), compare=False)
    """Sequence numbers of `recent`."""
    marks: Mapping[str, int] = field(default_factory=dict, compare=False)
    """By hidden or seen product: sequence number of an event that is the evidence."""
    withheld: bool = False
    """Whether the shopper does not consent to personal answers: all else is empty."""
    kept: dict[Hashable, Any] = field(init=False, default_factory=dict, compare=False, repr=False)
    """Results of `once`."""

    def once(self, key: Hashable, compute: Callable[..., T], *given: Any) -> T:
        """Return what `compute` returns for this key, computed once for this history."""
        found: T | None = self.kept.get(key)
        if found is None:
            found = self.kept[key] = compute(*given)
        return found

    def owner(self, asked: str | None) -> str | None:
        """Return the pseudonym of the shopper who was asked for; None if there is no shopper, or
        their answers are not personal."""
        return None if self.withheld else self.actor or asked
