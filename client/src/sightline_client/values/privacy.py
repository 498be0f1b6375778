"""Consents of shoppers, and receipts of erasures, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ErasedStore:
    """What was erased in a store."""

    store: str
    erased_count: int
    due_time: datetime | None
    """When the last trace is gone by itself; None: nothing is left, or the text says when."""
    text: str
    """What is left, in a sentence; empty if nothing is."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The receipt of an erasure."""

    request_time: datetime
    """Data of later times is not part of it."""
    complete_time: datetime | None
    """None while it is under way."""
    job_id: str
    stores: tuple[ErasedStore, ...]


class Purpose(StrEnum):
    """What a shopper's data may be used for."""

    PERSONALISE = "PERSONALISE"
    """Answers use their events, attributes and vector."""
    TRAIN = "TRAIN"
    """Models, popularity and counts learn from their events."""
    EXPERIMENT = "EXPERIMENT"
    """They may be assigned to arms of experiments."""
    ATTRIBUTES = "ATTRIBUTES"
    """Attributes that they gave are stored."""
    PHOTOS = "PHOTOS"
    """Vectors of the photos that they search with are recorded, and spaces learn from their clicks.
    """


@dataclass(frozen=True, slots=True)
class ConsentState:
    """The present state of a purpose."""

    purpose: Purpose
    granted: bool
    """Whether data may be used for it."""
    by_default: bool
    """Whether the shopper has not decided, so that the catalog's default applies."""


@dataclass(frozen=True, slots=True)
class ConsentDecision:
    """A decision on a purpose."""

    purpose: Purpose
    granted: bool
    """True: given. False: withdrawn."""
    decide_time: datetime | None
    source: str
    """Where it was made, such as "cookie banner 3"."""


@dataclass(frozen=True, slots=True)
class Consents:
    """What a shopper consents to, or a catalog's default."""

    states: tuple[ConsentState, ...]
    history: tuple[ConsentDecision, ...]
    """Newest first, at most 1,000."""
    job_id: str
    """Job that counts popularity again after a catalog's default has changed; else empty."""


@dataclass(frozen=True, slots=True)
class PrivacySpending:
    """An expense of the budget for counts."""

    spend_time: datetime | None
    epsilon: float
    delta: float
    """Probability by which the bound of epsilon may be exceeded."""
    text: str
    """What was counted."""


@dataclass(frozen=True, slots=True)
class PrivacyBudget:
    """A catalog's budget for counts with differential privacy."""

    epsilon: float
    """Sum that may be spent within ``days``."""
    days: float
    left: float
    spendings: tuple[PrivacySpending, ...]
    """Newest first, at most 1,000."""
