"""Outcomes of calls that send several requests, as plain values."""

from dataclasses import dataclass

from sightline_client.errors import SightlineError
from sightline_client.values.catalog import UpsertOutcome


@dataclass(frozen=True, slots=True)
class UpsertBatch:
    """Outcomes of one batch, yielded as soon as it is durable."""

    outcomes: tuple[UpsertOutcome, ...]
    """One for each product, in order."""
    index_token: str
    """A search with it as ``min_index_token`` sees this batch and those before; "" if not stored.
    """
    done: int
    """Number of products done so far, including this batch."""


@dataclass(frozen=True, slots=True)
class UpsertReport:
    """Outcomes of all products."""

    stored_count: int
    failures: tuple[UpsertOutcome, ...]
    """The rejected ones, each with its error."""
    index_token: str
    """A search with it as ``min_index_token`` sees every stored one."""


@dataclass(frozen=True, slots=True)
class OfferFailure:
    """An offer that was rejected."""

    product_id: str
    error: SightlineError


@dataclass(frozen=True, slots=True)
class OfferBatch:
    """Outcomes of one batch of offers, yielded as soon as it is durable."""

    stored_count: int
    failures: tuple[OfferFailure, ...]
    index_token: str
    """A search with it as ``min_index_token`` sees this batch and those before; "" if not stored.
    """
    done: int
    """Number of offers done so far, including this batch."""


@dataclass(frozen=True, slots=True)
class OfferReport:
    """Outcomes of all offers."""

    stored_count: int
    failures: tuple[OfferFailure, ...]
    index_token: str


@dataclass(frozen=True, slots=True)
class RowFailure:
    """A row of an import that was rejected."""

    row_number: int
    product_id: str
    error: SightlineError


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """Outcomes of some rows, yielded in the order of the rows as soon as they are durable."""

    last_row: int
    """Number of the last of them."""
    stored_count: int
    failures: tuple[RowFailure, ...]
    index_token: str
    """A search with it as ``min_index_token`` sees these rows; "" if none was stored."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Outcomes of the rows that were sent this time."""

    stored_count: int
    failures: tuple[RowFailure, ...]
    index_token: str


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


@dataclass(frozen=True, slots=True)
class AddedPhotos:
    """Outcome of adding photos to a draft."""

    photo_count: int
    """Photos of the draft."""
    failures: tuple[tuple[int, str], ...]
    """Photos that were not added: index, from 0, and why."""
