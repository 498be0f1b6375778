"""Consents of shoppers, and receipts of erasures, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ErasedStore:
    """What was erased in a store."""

    store: str
    """Store, as in the table of docs/privacy.md, e.g. "events"."""
    erased_count: int
    """Number of erased records: rows, entries of files, or models from which the shopper's vector
    was removed."""
    due_time: datetime | None
    """When the last trace is gone by itself (UTC): retrained models, expired backups. None if
    nothing is left."""
    text: str
    """Explanation in a sentence. Empty if nothing is left."""


class Purpose(StrEnum):
    """Purpose for which a shopper's data may be used."""

    PERSONALISE = "PERSONALISE"
    """Answers to the shopper use their events, attributes and vector, and are recorded under their
    pseudonym. Given unless withdrawn, or unless the catalog's default says otherwise."""
    TRAIN = "TRAIN"
    """Models, popularity and counts learn from the shopper's events. Given unless withdrawn, or
    unless the catalog's default says otherwise."""
    EXPERIMENT = "EXPERIMENT"
    """The shopper may be assigned to arms of experiments. Given unless withdrawn, or unless the
    catalog's default says otherwise."""
    ATTRIBUTES = "ATTRIBUTES"
    """Attributes that the shopper gave are stored. Always needs the shopper's own consent."""
    PHOTOS = "PHOTOS"
    """Without effect since 0.40, which records no vectors of photos. Its withdrawal deletes those
    that earlier releases recorded."""


@dataclass(frozen=True, slots=True)
class PrivacySpending:
    """An expense of the budget."""

    spend_time: datetime | None
    """When (UTC)."""
    epsilon: float
    """How much."""
    delta: float
    """Probability by which the bound of epsilon may be exceeded."""
    text: str
    """What was counted, as text."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The receipt of an erasure. It is stored under a hash that leads to nobody without the
    shopper's id and the key of the pseudonyms."""

    request_time: datetime
    """When the erasure was requested (UTC). Later data is not part of it."""
    complete_time: datetime | None
    """When it was complete (UTC). None while it is under way."""
    job_id: str
    stores: tuple[ErasedStore, ...]
    """Result by store. Empty while it is under way."""


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
    """True if consent was given, false if it was withdrawn."""
    decide_time: datetime | None
    """When (UTC)."""
    source: str
    """Where, as given."""


@dataclass(frozen=True, slots=True)
class PrivacyBudget:
    """A catalog's budget for counts with differential privacy."""

    epsilon: float
    """Sum of epsilon that may be spent within ``days``. A setting of the ranker."""
    days: float
    """Length of the period, in days."""
    left: float
    """What is left now."""
    spendings: tuple[PrivacySpending, ...]
    """What was spent within the period, newest first, at most 1,000."""


@dataclass(frozen=True, slots=True)
class Consents:
    """What a shopper consents to, or a catalog's default."""

    states: tuple[ConsentState, ...]
    """The present state of each purpose, in the order of their numbers."""
    history: tuple[ConsentDecision, ...]
    """All decisions, newest first, at most 1,000. Empty if none was made."""
    job_id: str
    """For ``set_consent``, if the catalog's default for TRAIN has changed: the job that counts
    popularity and what is bought together again. Else empty."""
