"""Filters as values, of messages that have the fields of sightline.common.v1.Filter.

The messages' own classes are not named here, as rules know no wire.
"""

from __future__ import annotations

from typing import Any as Message

from sightline_rules.filter_checks import rule_of
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    FilterInvalidError,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    Value,
)

MICROS = 1_000_000
_OPERATORS = dict(enumerate(Operator, start=1))
_AVAILABILITIES = dict(enumerate(Availability, start=1))


def read(message: Message, path: str = "filter") -> Filter:
    """The filter; `check` says whether it can be evaluated. Raises FilterInvalidError."""
    match message.WhichOneof("expression"):
        case "all":
            return All(_filters(message.all, f"{path}.all"))
        case "any":
            return Any(_filters(message.any, f"{path}.any"))
        case "not":
            return Not(read(getattr(message, "not"), f"{path}.not"))
        case "comparison":
            return _comparison(message.comparison, f"{path}.comparison")
        case "membership":
            return _membership(message.membership, f"{path}.membership")
        case "existence":
            return Existence(message.existence.field)
        case _:
            return All()


def _filters(message: Message, path: str) -> tuple[Filter, ...]:
    return tuple(
        read(part, f"{path}.filters[{index}]") for index, part in enumerate(message.filters)
    )


def _comparison(given: Message, path: str) -> Comparison:
    operator = _OPERATORS.get(given.operator)
    # Reported first: what an unknown field is compared with does not matter.
    rule_of(given.field, f"{path}.field")
    if operator is None:
        raise FilterInvalidError(f"{path}.operator", "is required")
    return Comparison(given.field, operator, _value(given.value, f"{path}.value"))


def _membership(given: Message, path: str) -> Membership:
    return Membership(
        given.field,
        tuple(_value(value, f"{path}.values[{index}]") for index, value in enumerate(given.values)),
    )


def _value(value: Message, path: str) -> Value:
    match value.WhichOneof("kind"):
        case "text":
            return str(value.text)
        case "money":
            return _money(value.money, path)
        case "availability":
            found = _AVAILABILITIES.get(value.availability)
            if found is None:
                raise FilterInvalidError(f"{path}.availability", "is not one of the known values")
            return found
        case "time":
            return _time(value.time, path)
        case "number":
            return float(value.number)
        case "flag":
            return bool(value.flag)
        case _:
            raise FilterInvalidError(path, "is required")


def _money(money: Message, path: str) -> Money:
    if not 0 <= money.nanos < 1_000_000_000 or money.nanos % 1_000:
        raise FilterInvalidError(
            f"{path}.money.nanos", "must be from 0 to 999,999,999 with at most six decimals"
        )
    return Money(money.currency_code, money.units * MICROS + money.nanos // 1_000)


def _time(time: Message, path: str) -> Time:
    # https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp: years 1 to 9999
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799 or not 0 <= time.nanos < 10**9:
        raise FilterInvalidError(f"{path}.time", "must be a time of the years 1 to 9999")
    return Time(time.seconds * MICROS + time.nanos // 1_000)
