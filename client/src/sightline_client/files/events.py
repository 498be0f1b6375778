"""Convert rows to events of the contract."""

import hashlib
from decimal import Decimal

from sightline.common.v1 import event_pb2
from sightline_client.files import cells, choices
from sightline_client.files.cells import Cells
from sightline_client.files.model import bad
from sightline_client.files.placeholders import identity, identity_or_none, is_placeholder

COLUMNS = (
    *("event_id", "type", "product_id", "user_id", "visitor_id", "session_id", "time", "value"),
    *("quantity", "unit_price", "currency", "order_id", "position", "scene", "attribution_token"),
    "query",
)
NEEDED = ("type",)

_TYPES = {
    name.removeprefix("EVENT_TYPE_"): value for name, value in event_pb2.EventType.items() if value
}
_TEXTS = ("product_id", "session_id", "order_id", "scene", "attribution_token", "query")
_UNSAID = frozenset({"session_id", "order_id", "query"})
"""Columns in which a placeholder says nothing. Sessions and orders of that name would join all."""
_INT32 = 2**31 - 1


def event(row: Cells) -> event_pb2.Event:
    """Convert a row to an event. A row without an id gets one made of its content, so that a second
    import adds nothing. SightlineError for an invalid row. Looks only at cells that are there: a
    million rows pay for every cell."""
    made = event_pb2.Event(event_id=cells.text(row, "event_id"), type=_type(row))
    for name in _TEXTS:
        if _said(row, name):
            setattr(made, name, _text(row, name))
    _shopper(row, made)
    if (instant := cells.time(row, "time")) is not None:
        made.event_time.CopyFrom(instant)
    if (value := _value(row)) is not None:
        made.value = float(value)
    if _said(row, "quantity"):
        made.quantity = cells.integer(row, "quantity", _INT32)
    if _said(row, "position"):
        made.position = cells.integer(row, "position", _INT32)
    if _said(row, "unit_price") or _said(row, "currency"):
        price = cells.money(row, "unit_price")
        if price is not None:
            made.unit_price.CopyFrom(price)
    if not made.event_id:
        content = made.SerializeToString(deterministic=True)
        made.event_id = f"content-{hashlib.sha256(content).hexdigest()[:32]}"
    return made


def _text(row: Cells, name: str) -> str:
    """Read a text; a placeholder says nothing, but for a product."""
    if name == "product_id":
        return identity_or_none(row, name)
    value = cells.text(row, name)
    return "" if name in _UNSAID and is_placeholder(value) else value


def _said(row: Cells, name: str) -> bool:
    """Return whether a row has a value. Zero and empty bytes are values."""
    value = row.get(name)
    return value is not None and value != ""


def _type(row: Cells) -> event_pb2.EventType.ValueType:
    word = cells.required(row, "type")
    found = _TYPES.get(word) or choices.event_type(word)
    if found is None:
        raise bad("type", choices.unknown("type", word, choices.EVENTS))
    return found


def _shopper(row: Cells, made: event_pb2.Event) -> None:
    user, visitor = cells.text(row, "user_id"), cells.text(row, "visitor_id")
    if user and visitor and is_placeholder(user):
        user = ""
    if user and is_placeholder(visitor):
        visitor = ""
    if user and visitor:
        raise bad("user_id", "give user_id or visitor_id, not both")
    if user:
        made.shopper.user_id = identity(row, "user_id")
    elif visitor:
        made.shopper.visitor_id = identity(row, "visitor_id")
    else:
        raise bad("user_id", "is missing: give user_id or visitor_id")


def _value(row: Cells) -> Decimal | None:
    return None if row.get("value") is None else cells.number(row, "value")
