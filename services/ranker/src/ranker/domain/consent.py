"""Consent of shoppers, by purpose.

A decision of a shopper applies from the next read or write on. Without one, the catalog's default
applies; without that, `BY_DEFAULT`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

MOST_HISTORY = 1_000
"""Maximum number of decisions that are shown."""
EVERYBODY = ""
"""Stands in the place of a pseudonym for a catalog's default."""


class Purpose(StrEnum):
    """What a shopper's data may be used for. The names are stored."""

    PERSONALISE = "PERSONALISE"
    TRAIN = "TRAIN"
    EXPERIMENT = "EXPERIMENT"
    ATTRIBUTES = "ATTRIBUTES"
    PHOTOS = "PHOTOS"


OWN_CONSENT = frozenset({Purpose.ATTRIBUTES, Purpose.PHOTOS})
"""Purposes that always need the shopper's own consent: no default of a catalog grants them."""
BY_DEFAULT: Mapping[Purpose, bool] = MappingProxyType(
    {one: one not in OWN_CONSENT for one in Purpose}
)
"""Whether a purpose is granted if neither the shopper nor the catalog has decided."""
STORING = frozenset({Purpose.PERSONALISE, Purpose.TRAIN})
"""An event is stored if one of these is granted."""
PHOTO_VECTORS = frozenset({Purpose.PHOTOS, Purpose.TRAIN, Purpose.PERSONALISE})
"""The vector of a shopper's photo, which releases before 0.40 recorded, stays only while all of
these are granted."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on a purpose."""

    purpose: Purpose
    granted: bool
    source: str
    """Where it was made, as given."""
    decided_micros: int
    """Microseconds since 1970 (UTC)."""


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision with its shopper."""

    actor: str
    """Pseudonym; EVERYBODY for a catalog's default; a hash after an erasure."""
    key_id: str
    """Key of the pseudonym; empty for others."""
    decision: Decision


@dataclass(frozen=True, slots=True)
class Consents:
    """What a shopper consents to."""

    granted: Mapping[Purpose, bool]
    """Of all purposes."""
    decided: Collection[Purpose]
    """Purposes on which the shopper has decided."""
    history: tuple[Decision, ...]
    """Newest first."""


@dataclass(frozen=True, slots=True)
class Refusers:
    """The shoppers who refuse a purpose."""

    by_default: bool
    """Whether shoppers who have not decided refuse it."""
    others: frozenset[str]
    """Pseudonyms of those who decided differently from the default."""

    def __contains__(self, actor: object) -> bool:
        return (actor in self.others) != self.by_default

    def __bool__(self) -> bool:
        return self.by_default or bool(self.others)
