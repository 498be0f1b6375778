"""Conditions on products as text (the grammar: ``sightline.filter_text``)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sightline import filter_text
from sightline.common.v1 import filter_pb2
from sightline_client.values.catalog import Availability
from sightline_client.values.fields import FieldKind
from sightline_client.values.filters import (
    Comparison,
    Existence,
    Filter,
    Membership,
    Operator,
    Value,
    all_of,
    any_of,
)
from sightline_client.values.money import Money
from sightline_client.values.products import FILTERED

FIELDS = {field.name: field.kind for field in FILTERED if field.kind is not FieldKind.ATTRIBUTES}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_filter(text: str, *, currency: str = "") -> Filter:
    """Parse a filter; an empty text accepts every product. ``currency``: of amounts without one, ""
    = each amount must name its own. FilterSyntaxError says what is wrong and where."""
    return all_of(filter_of(filter_text.parse(text, FIELDS, currency)))


def filter_of(message: filter_pb2.Filter) -> Filter:
    """Convert a filter that ``parse`` returned."""
    match message.WhichOneof("expression"):
        case "any":
            return any_of(*map(filter_of, message.any.filters))
        case "not":
            return ~filter_of(getattr(message, "not"))
        case "existence":
            return Existence(message.existence.field)
        case "membership":
            members = message.membership
            return Membership(members.field, tuple(map(_value, members.values)))
        case "comparison":
            held = message.comparison
            name = filter_pb2.Comparison.Operator.Name(held.operator)
            operator = Operator(name.removeprefix("OPERATOR_"))
            return Comparison(held.field, operator, _value(held.value))
        case _:
            return all_of(*map(filter_of, message.all.filters))


def _value(message: filter_pb2.FilterValue) -> Value:
    held: Any = getattr(message, str(message.WhichOneof("kind")))
    match message.WhichOneof("kind"):
        case "money":
            return Money(held.units + Decimal(held.nanos).scaleb(-9), held.currency_code)
        case "time":
            return _EPOCH + timedelta(seconds=held.seconds, microseconds=held.nanos // 1_000)
        case "availability":
            return list(Availability)[message.availability]
        case _:
            value: Value = held
            return value
