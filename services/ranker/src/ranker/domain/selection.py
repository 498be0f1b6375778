"""Selection of events to count, delete or export, also as parameters of a job; columns of exported
events."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from ranker.domain.events import EventType, StoredEvent


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of events of a catalog: those that meet every given condition."""

    catalog_id: str
    before_micros: int | None = None
    """Latest time, exclusive, microseconds since 1970 (UTC); `None`: no bound."""
    types: tuple[EventType, ...] = ()
    """Event types; empty: all."""
    product_id: str = ""
    """Product; empty: all."""
    actor: str = ""
    """Pseudonym of the shopper; empty: all shoppers."""
    last_sequence: int | None = None
    """Highest sequence number: later events are not selected."""
    from_micros: int | None = None
    """Earliest time, inclusive, microseconds since 1970 (UTC); `None`: no bound."""
    received_micros: int | None = None
    """Latest time of receipt, microseconds since 1970 (UTC), also for events that wait in a log;
    `None`: no bound."""


@dataclass(frozen=True, slots=True)
class PurgeCount:
    """Count of the selected events."""

    event_count: int
    first_micros: int | None
    """`None` if there are none."""
    last_micros: int | None
    last_sequence: int
    """0 if there are none."""


@dataclass(frozen=True, slots=True)
class PurgePlace:
    """Progress of a purge: the last processed event."""

    counted: bool = True
    """True while it processes events that count in popularity, which come first, by product."""
    product_id: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Purged:
    """Result of one batch of a purge."""

    count: int
    place: PurgePlace | None
    """Start of the next batch; `None` if the purge is complete."""


PURGE = "purge_events"
"""Kind of the job that deletes selected events."""

_SELECTION = TypeAdapter(Selection)


def params(selection: Selection) -> dict[str, Any]:
    """Return the job's parameters as JSON values. People appear as pseudonyms."""
    given = asdict(selection)
    del given["catalog_id"]
    return given


def selection_of(catalog_id: str, given: Mapping[str, Any]) -> Selection:
    """Build the selection from the result of `params`; ignore other parameters."""
    return _SELECTION.validate_python({**given, "catalog_id": catalog_id})


def fits(selection: Selection, stored: StoredEvent, owner: str) -> bool:
    """Return whether an event that is not stored yet is selected; `owner` is its pseudonym after
    merges. Equals `conditions` in SQL."""
    s, event, time = selection, stored.event, stored.event.time_micros or 0
    return (
        stored.catalog_id == s.catalog_id
        and s.received_micros is not None
        and stored.received_micros <= s.received_micros
        and (s.before_micros is None or time < s.before_micros)
        and (s.from_micros is None or time >= s.from_micros)
        and (not s.types or event.type in s.types)
        and s.product_id in ("", event.product_id)
        and s.actor in ("", stored.actor, owner)
    )


def request_key(request_id: str, selection: Selection, *more: str) -> str:
    """Return the idempotency key of a job: a digest of the request's id, its conditions and `more`,
    so that an id reused with other conditions creates another job. Empty without an id."""
    if not request_id:
        return ""
    # Events received between two attempts do not make a different request.
    conditions = params(replace(selection, last_sequence=None, received_micros=None))
    digest = hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()
    return ":".join([request_id, digest[:16], *more])


class ExportKind(StrEnum):
    """Type of a column."""

    TEXT = "text"
    NUMBER = "int64"
    REAL = "float64"
    TIME = "timestamp[us, UTC]"
    FLAG = "bool"


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column of the exported files. A value that was not given is null, or an empty text."""

    name: str
    says: str
    kind: ExportKind = ExportKind.TEXT
    column: str = ""
    """Column in the record, if it has another name."""
    nullable: bool = False

    @property
    def stored(self) -> str:
        """Return the name of the column in the record."""
        return self.column or self.name


COLUMNS = (
    ExportColumn("sequence", "order in which events were received; increasing", ExportKind.NUMBER),
    ExportColumn("event_id", "id given by the caller"),
    ExportColumn("actor", "pseudonym of the shopper"),
    ExportColumn("session", "pseudonym of the visit; empty if unknown"),
    ExportColumn("key_id", "id of the key of the pseudonyms"),
    ExportColumn("type", "name in EventType, without its prefix"),
    ExportColumn("product_id", "product id; empty for some searches"),
    ExportColumn("event_time", "time by the caller's clock", ExportKind.TIME, column="time_micros"),
    ExportColumn("receive_time", "time of receipt", ExportKind.TIME, column="received_micros"),
    ExportColumn(
        "value",
        "stars of a RATING, otherwise the strength given by the caller",
        ExportKind.REAL,
        nullable=True,
    ),
    ExportColumn("quantity", "units; 0 if not given", ExportKind.NUMBER),
    ExportColumn(
        "unit_price_micros", "millionths of the currency's unit", ExportKind.NUMBER, nullable=True
    ),
    ExportColumn("currency", "ISO 4217; empty without a price", column="unit_price_currency"),
    ExportColumn("order_id", "order id, hashed unless requested; may be empty"),
    ExportColumn("position", "position in the list from 1; 0 if not given", ExportKind.NUMBER),
    ExportColumn("scene", "scene of the answer; empty if unknown"),
    ExportColumn("answer_id", "id of the answer that led to the event; empty if unknown"),
    ExportColumn("query", "query of a SEARCH; empty unless requested"),
    ExportColumn("sample_share", "the event represents 1 / sample_share events", ExportKind.REAL),
    ExportColumn(
        "unproven",
        "the shopper was not proven, so the event counts for nothing that others see",
        ExportKind.FLAG,
    ),
    ExportColumn("new_visitor", "the shopper's proof was less than a day old", ExportKind.FLAG),
)
"""The schema of format 1."""
