"""Filters and facts of products from the contract's messages, by the names of their fields; and
filters as messages.

The retriever and the gateway both read them here, so that a filter means the same to both.
"""

from collections.abc import Iterable, Mapping
from typing import Any as Anything
from typing import TypeAlias

from sightline_rules import categories, filter_checks, filters, kinds, markets
from sightline_rules.facts import Facts, by_key
from sightline_rules.fields import FILTERED, Field
from sightline_rules.filters import Availability, Filter, Money, Operator, Time
from sightline_rules.markets import MarketValues
from sightline_rules.texts import composed

Message: TypeAlias = Anything

MICROS = 1_000_000

OPERATORS: Mapping[int, Operator] = dict(enumerate(Operator, start=1))
AVAILABILITIES: Mapping[int, Availability] = dict(enumerate(Availability, start=1))
"""By their numbers in the contract."""
_NUMBERS: Mapping[object, int] = {
    value: number for of in (OPERATORS, AVAILABILITIES) for number, value in of.items()
}


def facts(product: Message) -> Facts:
    """Return the facts of a message Product. Raises ValueError if it holds an unknown choice."""
    return Facts(**{field.name: fact(field, product) for field in FILTERED})


def fact(field: Field, product: Message) -> Anything:
    """Return the fact of one filtered field of a message Product. Raises ValueError."""
    value = getattr(product, field.wire)
    match field.kind:
        case kinds.CategoryKind():
            return categories.join(value)
        case kinds.TextsKind():
            return frozenset(value)
        case kinds.AttributesKind():
            return attributes_of(value)
        case kinds.ChoiceKind():
            if (known := AVAILABILITIES.get(value)) is None:
                raise ValueError(f"{field.name} is not one of the known values")
            return known
        case kinds.TimeKind():
            return Time(value.ToMicroseconds())
        case kinds.MoneyKind():
            return _amount(value) if product.HasField(field.wire) else None
        case kinds.MarketsKind():
            return tuple(map(_market, value))
        case kinds.StepsKind() as kind:
            return kind.plain(value) if product.HasField(field.wire) else None
        case _:
            return value


def _market(given: Message) -> MarketValues:
    return MarketValues(
        market_id=given.market_id,
        price=_amount(given.price) if given.HasField("price") else None,
        availability=AVAILABILITIES.get(given.availability),
        title=given.title,
    )


def attributes_of(given: Iterable[Message]) -> dict[str, tuple[filters.AttributeValue, ...]]:
    """Return a product's attributes by key."""
    return by_key(
        (item.key, getattr(item, kind)) for item in given if (kind := item.WhichOneof("value"))
    )


def condition(message: Message, path: str = "filter") -> Filter:
    """Return a filter that can be evaluated, in its market. Raises FilterInvalidError with the
    fault's path."""
    market_id = markets.check(message.market_id, f"{path}.market_id")
    return markets.within(without_market(message, path), market_id)


def without_market(message: Message, path: str = "filter") -> Filter:
    """Return a filter on the products' own values, whatever its market. Raises
    FilterInvalidError."""
    return filter_checks.check(_read(message, path), path)


def read(message: Message, path: str = "filter") -> Filter:
    """Return a filter within another one, not yet checked (filter_checks.check). Raises
    FilterInvalidError."""
    if message.market_id:
        problem = "is only allowed on the outermost filter of a request"
        raise filters.FilterInvalidError(f"{path}.market_id", problem)
    return _read(message, path)


def _read(message: Message, path: str) -> Filter:
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
        case "text":  # the gateway replaces it: to ignore it would pass every product
            raise filters.FilterInvalidError(f"{path}.text", "is read by the gateway alone")
        case _:
            return filters.All()


def _filters(message: Message, path: str) -> tuple[Filter, ...]:
    return tuple(
        read(part, f"{path}.filters[{index}]") for index, part in enumerate(message.filters)
    )


def _comparison(given: Message, path: str) -> filters.Comparison:
    operator = OPERATORS.get(given.operator)
    # First: of an unknown field neither operator nor value matter.
    filter_checks.kind_of(given.field, f"{path}.field")
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
            return composed(plain) if isinstance(plain, str) else plain


def money(given: Message, path: str) -> Money:
    """Return an amount. Raises FilterInvalidError."""
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


# Filters as messages


def written(condition: Filter) -> dict[str, Anything]:
    """Return the fields of a filter's message."""
    match condition:
        case filters.All(parts):
            return {"all": {"filters": [*map(written, parts)]}}
        case filters.Any(parts):
            return {"any": {"filters": [*map(written, parts)]}}
        case filters.Not(part):
            return {"not": written(part)}
        case filters.Comparison(field, operator, value):
            made = {"field": field, "operator": _NUMBERS[operator], "value": _written_value(value)}
            return {"comparison": made}
        case filters.Membership(field, values):
            return {"membership": {"field": field, "values": [*map(_written_value, values)]}}
        case filters.Existence(field):
            return {"existence": {"field": field}}


def _written_value(value: filters.Value) -> dict[str, Anything]:
    match value:
        case Availability():
            return {"availability": _NUMBERS[value]}
        case Money():
            return {"money": written_money(value)}
        case Time():
            seconds, micros = divmod(value.micros, MICROS)
            return {"time": {"seconds": seconds, "nanos": micros * 1_000}}
        case bool():
            return {"flag": value}
        case float():
            return {"number": value}
        case _:
            return {"text": value}


def written_money(value: Money) -> dict[str, Anything]:
    """Return the fields of an amount's message."""
    units, rest = divmod(value.micros, MICROS)
    return {"currency_code": value.currency, "units": units, "nanos": rest * 1_000}
