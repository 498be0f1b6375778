"""The columns of exported events."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "int64"
    REAL = "float64"
    TIME = "timestamp[us, UTC]"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the files. What was not given is null, or empty in a text."""

    name: str
    stored: str
    """Its name in the record."""
    kind: Kind
    says: str
    nullable: bool = False


COLUMNS = (
    Column("sequence", "sequence", Kind.NUMBER, "order in which events were taken in; rising"),
    Column("event_id", "event_id", Kind.TEXT, "the caller's own id"),
    Column("actor", "actor", Kind.TEXT, "pseudonym of the shopper"),
    Column("session", "session", Kind.TEXT, "pseudonym of the visit; empty = unknown"),
    Column("key_id", "key_id", Kind.TEXT, "which key made the pseudonyms"),
    Column("type", "type", Kind.TEXT, "what the shopper did, as EventType without its prefix"),
    Column("product_id", "product_id", Kind.TEXT, "with which product; empty for some searches"),
    Column("event_time", "time_micros", Kind.TIME, "when, by the caller's clock"),
    Column("receive_time", "received_micros", Kind.TIME, "when it was taken in"),
    Column("value", "value", Kind.REAL, "stars of a RATING; else the caller's strength", True),
    Column("quantity", "quantity", Kind.NUMBER, "pieces; 0 = not said"),
    Column("unit_price_micros", "unit_price_micros", Kind.NUMBER, "millionths of a unit", True),
    Column("currency", "unit_price_currency", Kind.TEXT, "ISO 4217; empty without a price"),
    Column("order_id", "order_id", Kind.TEXT, "the order; empty = unknown"),
    Column("position", "position", Kind.NUMBER, "place in the list, 1 = first; 0 = not said"),
    Column("scene", "scene", Kind.TEXT, "scene of the answer; empty = unknown"),
    Column("answer_id", "answer_id", Kind.TEXT, "the answer that led here; empty = unknown"),
    Column("query", "query", Kind.TEXT, "what was typed in a SEARCH"),
    Column("sample_share", "sample_share", Kind.REAL, "the event stands for 1 / sample_share"),
)
"""The schema of format 1."""
