"""Filters by grammar, as values of the rules and as messages of the contract."""

from __future__ import annotations

import random
from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money as MoneyMessage

from sightline.common.v1 import filter_pb2, product_pb2
from sightline_rules import kinds
from sightline_rules.filter_checks import NAMES, kind_of
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    Value,
)
from sightline_rules.rejections import MOST_VALUES, words

BRANDS = ("Acme", "acme", 'O\'Neil "the" \\', "100%_like", "酒庄\N{GRINNING FACE}", "' or 1 == 1")
LEVELS = ("Wine", "Red", "White", "Dry", "it's", "\\", "葡萄")
TAGS = ("new", "New", "sale", '"quoted"', "%", "_", "\N{RIGHT-TO-LEFT OVERRIDE}abc")
CURRENCIES = ("EUR", "USD", "JPY")
TITLES = ("A thing", "酒", "Chair", "thin", "A", "chaIR")
KEYS = ("colour", "size", "grape", "a.b-c_d")
TEXTS = ("a red dress", "cheap", "红")
NUMBERS = (0.0, 0.5, 1.0, -3.0)
"""Values of numeric attributes."""
AMOUNTS = (0, 1, 999_999, 5_000_000, 19_990_000, 10**15)
"""Prices in millionths. What products and filters share, so that filters find something."""

_OPERATORS: Mapping[Operator, filter_pb2.Comparison.Operator.ValueType] = {
    Operator.EQUAL: filter_pb2.Comparison.OPERATOR_EQUAL,
    Operator.NOT_EQUAL: filter_pb2.Comparison.OPERATOR_NOT_EQUAL,
    Operator.LESS: filter_pb2.Comparison.OPERATOR_LESS,
    Operator.LESS_OR_EQUAL: filter_pb2.Comparison.OPERATOR_LESS_OR_EQUAL,
    Operator.GREATER: filter_pb2.Comparison.OPERATOR_GREATER,
    Operator.GREATER_OR_EQUAL: filter_pb2.Comparison.OPERATOR_GREATER_OR_EQUAL,
    Operator.CONTAINS: filter_pb2.Comparison.OPERATOR_CONTAINS,
}


def condition(chance: random.Random, times: tuple[int, ...], depth: int = 0) -> Filter:
    """Return a filter that the rules accept. `times`: microseconds that products may have."""
    if depth < 6 and chance.random() < 0.35:
        if chance.random() < 0.25:
            return Not(condition(chance, times, depth + 1))
        parts = (condition(chance, times, depth + 1) for _ in range(chance.randrange(4)))
        return chance.choice((All, Any))(tuple(parts))
    field = chance.choice((*sorted(NAMES), *(f"attributes.{key}" for key in KEYS)))
    kind = chance.random()
    if kind < 0.1:
        return Existence(field)
    if kind < 0.35 and field != "title":
        values = (_value(field, chance, times) for _ in range(chance.choice((0, 1, 2, 5, 40))))
        return Membership(field, tuple(values))
    value = _value(field, chance, times)
    operator = chance.choice(sorted(kind_of(field, "field").operators[type(value)]))
    if operator == Operator.CONTAINS and isinstance(value, str):
        value = value[: chance.randrange(1, 4)] or "a"
    return Comparison(field, Operator(operator), value)


def _value(field: str, chance: random.Random, times: tuple[int, ...]) -> Value:
    match kind_of(field, "field"):
        case kinds.MoneyKind():
            return Money(chance.choice(CURRENCIES), chance.choice(AMOUNTS))
        case kinds.ChoiceKind(choices):
            return chance.choice(list(choices))
        case kinds.TimeKind():
            return Time(chance.choice(times) + chance.choice((-1, 0, 0, 1)))
        case kinds.CategoryKind():
            return " > ".join(chance.choices(LEVELS, k=chance.choice((0, 1, 1, 2, 3))))
        case kinds.NumberKind():
            return chance.choice(NUMBERS)
        case kinds.AttributesKind():
            return chance.choice((*TEXTS, *NUMBERS, True, False))
        case _:
            return chance.choice({"brand": BRANDS, "title": TITLES}.get(field, TAGS))


def sent(filter_: Filter, chance: random.Random) -> filter_pb2.Filter:
    """Return the filter as callers send it: as text, if the words for it say all, or as message."""
    if chance.random() < 0.5 and _is_written(filter_):
        return filter_pb2.Filter(text=words(filter_))
    return message(filter_)


def _is_written(filter_: Filter) -> bool:
    match filter_:
        case All(filters) | Any(filters):
            return bool(filters) and all(map(_is_written, filters))
        case Not(inner):
            return _is_written(inner)
        case Membership(_, values):
            return 0 < len(values) <= MOST_VALUES
    return True


def message(filter_: Filter) -> filter_pb2.Filter:
    """Return the filter as a message."""
    match filter_:
        case All(filters):
            parts = filter_pb2.FilterList(filters=[message(part) for part in filters])
            return filter_pb2.Filter(all=parts)
        case Any(filters):
            parts = filter_pb2.FilterList(filters=[message(part) for part in filters])
            return filter_pb2.Filter(any=parts)
        case Not(inner):
            negation = filter_pb2.Filter()
            getattr(negation, "not").MergeFrom(message(inner))
            getattr(negation, "not").SetInParent()
            return negation
        case Existence(field):
            return filter_pb2.Filter(existence=filter_pb2.Existence(field=field))
        case Membership(field, values):
            among = filter_pb2.Membership(field=field, values=[_literal(v) for v in values])
            return filter_pb2.Filter(membership=among)
        case Comparison(field, operator, value):
            return filter_pb2.Filter(
                comparison=filter_pb2.Comparison(
                    field=field, operator=_OPERATORS[operator], value=_literal(value)
                )
            )


def _literal(value: Value) -> filter_pb2.FilterValue:
    match value:
        case Money(currency, micros):
            return filter_pb2.FilterValue(money=money(currency, micros))
        case Time(micros):
            stamp = Timestamp(seconds=micros // 10**6, nanos=micros % 10**6 * 1000)
            return filter_pb2.FilterValue(time=stamp)
        case Availability():
            number = product_pb2.Availability.Value(f"AVAILABILITY_{value.value}")
            return filter_pb2.FilterValue(availability=number)
        case bool():
            return filter_pb2.FilterValue(flag=value)
        case float():
            return filter_pb2.FilterValue(number=value)
        case _:
            return filter_pb2.FilterValue(text=value)


def money(currency: str, micros: int) -> MoneyMessage:
    """Return an amount that is not negative."""
    units, rest = divmod(micros, 10**6)
    return MoneyMessage(currency_code=currency, units=units, nanos=rest * 1000)
