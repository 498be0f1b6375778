"""What is stored on a shopper, and receipts of erasures, as plain values."""

from dataclasses import dataclass
from datetime import datetime


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
