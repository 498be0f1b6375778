"""Filters and products out of the contract's messages, by the names of their fields alone.

The record and whatever stands in for it read them here, so that a filter means the same to both.
"""

from collections.abc import Iterable, Mapping
from typing import Any as Message

from sightline_rules import categories, filter_checks, filters
from sightline_rules.filters import Availability, Facts, Filter, Money, Operator, Time

MICROS = 1_000_000

OPERATORS: Mapping[int, Operator] = dict(enumerate(Operator, start=1))
AVAILABILITIES: Mapping[int, Availability] = dict(enumerate(Availability, start=1))
"""By their numbers in the contract."""


def facts(product: Message) -> Facts:
    """What filters may ask of a product that was read. Raises ValueError where it says something
    that is not known here."""
    availability = AVAILABILITIES.get(product.availability)
    if availability is None:
        raise ValueError("not one of the known availabilities")
    return Facts(
        category=categories.join(product.category_path),
        brand=product.brand,
        title=product.title,
        price=_amount(product.price) if product.HasField("price") else None,
        availability=availability,
        tags=frozenset(product.tags),
        attributes=attributes_of(product.attributes),
        create_time=Time(product.create_time.ToMicroseconds()),
        update_time=Time(product.update_time.ToMicroseconds()),
    )


def attributes_of(given: Iterable[Message]) -> dict[str, tuple[filters.AttributeValue, ...]]:
    """A product's attributes by key, as filters ask of them."""
    return filters.by_key(
        (item.key, getattr(item, kind)) for item in given if (kind := item.WhichOneof("value"))
    )


def condition(message: Message, path: str = "filter") -> Filter:
    """A filter that can be evaluated; raises FilterInvalidError naming the culprit."""
    return filter_checks.check(read(message, path), path)


def read(message: Message, path: str = "filter") -> Filter:
    """A filter as it came; `check` says whether it can be evaluated. Raises FilterInvalidError."""
    match message.WhichOneof("expression"):
        case "all":
            return filters.All(_filters(message.all, f"{path}.all"))
        case "any":
            return filters.Any(_filters(message.any, f"{path}.any"))
        case "not":
            return filters.Not(read(getattr(message, "not"), f"{path}.not"))
        case "comparison":
            return _comparison(message.comparison, f"{path}.comparison")
        case "membership":
            return _membership(message.membership, f"{path}.membership")
        case "existence":
            return filters.Existence(message.existence.field)
        case _:
            return filters.All()


def _filters(message: Message, path: str) -> tuple[Filter, ...]:
    return tuple(
        read(part, f"{path}.filters[{index}]") for index, part in enumerate(message.filters)
    )


def _comparison(given: Message, path: str) -> filters.Comparison:
    operator = OPERATORS.get(given.operator)
    # Reported first: what an unknown field is compared with does not matter.
    filter_checks.rule_of(given.field, f"{path}.field")
    if operator is None:
        raise filters.FilterInvalidError(f"{path}.operator", "is required")
    return filters.Comparison(given.field, operator, _value(given.value, f"{path}.value"))


def _membership(given: Message, path: str) -> filters.Membership:
    return filters.Membership(
        given.field,
        tuple(_value(value, f"{path}.values[{index}]") for index, value in enumerate(given.values)),
    )


def _value(value: Message, path: str) -> filters.Value:
    match value.WhichOneof("kind"):
        case "money":
            return money(value.money, f"{path}.money")
        case "availability":
            found = AVAILABILITIES.get(value.availability)
            if found is None:
                raise filters.FilterInvalidError(
                    f"{path}.availability", "is not one of the known values"
                )
            return found
        case "time":
            return _time(value.time, path)
        case None:
            raise filters.FilterInvalidError(path, "is required")
        case kind:
            plain: str | float | bool = getattr(value, kind)
            return plain


def money(given: Message, path: str) -> Money:
    """An amount. Raises FilterInvalidError."""
    if not 0 <= given.nanos < 1_000_000_000 or given.nanos % 1_000:
        raise filters.FilterInvalidError(
            f"{path}.nanos", "must be from 0 to 999,999,999 with at most six decimals"
        )
    return _amount(given)


def _amount(money: Message) -> Money:
    return Money(money.currency_code, money.units * MICROS + money.nanos // 1_000)


def _time(time: Message, path: str) -> Time:
    # https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp: years 1 to 9999
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799 or not 0 <= time.nanos < 10**9:
        raise filters.FilterInvalidError(f"{path}.time", "must be a time of the years 1 to 9999")
    return Time(time.seconds * MICROS + time.nanos // 1_000)
