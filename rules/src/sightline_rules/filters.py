"""Filters on products: a small tree of conditions, and its meaning.

This is the reference: an engine's own filter must pass exactly the products that `passes` passes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as field_of
from enum import StrEnum
from functools import lru_cache
from operator import eq, ge, gt, le, lt, ne

from sightline_rules import categories


class Operator(StrEnum):
    """How a field compares with a value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    CONTAINS = "contains"


class Availability(StrEnum):
    """Whether a product can be bought now."""

    IN_STOCK = "IN_STOCK"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PREORDER = "PREORDER"
    BACKORDER = "BACKORDER"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in millionths of a currency's unit."""

    currency: str
    """Three-letter ISO 4217 code."""
    micros: int
    """Amount × 1,000,000."""


@dataclass(frozen=True, slots=True)
class Time:
    """An instant, microseconds since 1970 (UTC)."""

    micros: int


AttributeValue = str | float | bool
"""A text, a number, a flag; their exact types tell them apart, as True == 1.0 in Python."""
Value = str | Money | Availability | Time | float | bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """field operator value."""

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Membership:
    """field in (values): EQUAL holds for any one of them."""

    field: str
    values: tuple[Value, ...]
    distinct: frozenset[Value] = field_of(init=False, repr=False, compare=False)
    """The same as a set, made once for all products."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "distinct", frozenset(self.values))


@dataclass(frozen=True, slots=True)
class All:
    """Every one of the filters holds; none given = passes."""

    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of the filters holds; none given = nothing passes."""

    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The filter does not pass; there is no third value."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class Existence:
    """The field is known."""

    field: str


Filter = All | Any | Not | Comparison | Membership | Existence


@dataclass(frozen=True, slots=True)
class Facts:
    """What filters may ask of a product."""

    category: str = ""
    """Path with " > " between levels; "" = uncategorised."""
    brand: str = ""
    """"" = unknown."""
    title: str = ""
    price: Money | None = None
    availability: Availability = Availability.IN_STOCK
    tags: frozenset[str] = frozenset()
    attributes: Mapping[str, tuple[AttributeValue, ...]] = field_of(
        default_factory=dict, hash=False
    )
    """By key, as `by_key` groups them; a key has several values only where these are texts."""
    create_time: Time = Time(0)
    update_time: Time = Time(0)


def by_key(
    attributes: Iterable[tuple[str, AttributeValue]],
) -> dict[str, tuple[AttributeValue, ...]]:
    """Attributes one by one as `Facts` holds them."""
    found: dict[str, tuple[AttributeValue, ...]] = {}
    for key, value in attributes:
        found[key] = (*found.get(key, ()), value)
    return found


class FilterInvalidError(ValueError):
    """A filter that can't be evaluated; `path` names the culprit: "filter.comparison.field"."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(f"{path}: {description}")
        self.path = path
        self.description = description


ATTRIBUTES = "attributes."
"""What the name of an attribute's field begins with; its key follows."""


def attribute_key(name: str) -> str:
    """The key of an attribute's field; "" = the field is no attribute."""
    return name[len(ATTRIBUTES) :] if name.startswith(ATTRIBUTES) else ""


def passes(condition: Filter, facts: Facts) -> bool:
    """Whether a product passes a filter that `check` let through."""
    match condition:
        case All(filters):
            return all(passes(part, facts) for part in filters)
        case Any(filters):
            return any(passes(part, facts) for part in filters)
        case Not(inner):
            return not passes(inner, facts)
        case Comparison(name, Operator.CONTAINS, str() as text):
            return _contains(name, text, facts)
        case Comparison(name, operator, value):
            return _compares(name, operator, value, facts)
        case Membership(name):
            if key := attribute_key(name):
                return _is_among_attributes(key, condition, facts)
            return _is_among(name, condition.distinct, facts)
        case Existence(name):
            return _exists(name, facts)


def _exists(name: str, facts: Facts) -> bool:
    match name:
        case "category" | "brand" | "tags":
            return bool(getattr(facts, name))
        case "price":
            return facts.price is not None
        case "title" | "availability" | "create_time" | "update_time":
            return True
        case _:
            return attribute_key(name) in facts.attributes


def _contains(name: str, text: str, facts: Facts) -> bool:
    """Whether a tag is the text, or a text of the field holds it in whatever case."""
    if name == "tags":
        return text in facts.tags
    asked = fold(text)
    return any(asked in fold(held) for held in _texts(name, facts))


def _texts(name: str, facts: Facts) -> Iterable[str]:
    match name:
        case "category":
            return categories.split(facts.category)
        case "brand" | "title":
            return (getattr(facts, name),)
        case _:
            held = facts.attributes.get(attribute_key(name), ())
            return (value for value in held if isinstance(value, str))


@lru_cache(maxsize=4_096)
def fold(text: str) -> str:
    """A text as `contains` compares it: upper and lower case alike, accents composed.

    Kept for a while: a filter's text meets many products, and a product's text several conditions.
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded)


def _is_among(name: str, values: frozenset[Value], facts: Facts) -> bool:
    """Whether EQUAL holds for any one of the values, however many there are."""
    match name:
        case "category":
            return not values.isdisjoint(categories.ancestors(facts.category))
        case "brand":
            return facts.brand != "" and facts.brand in values
        case "tags":
            return not values.isdisjoint(facts.tags)
        case "availability" | "price" | "create_time" | "update_time":
            return getattr(facts, name) in values
        case _:
            raise FilterInvalidError("filter", f"{name} can't be evaluated; check() first")


def _is_among_attributes(key: str, asked: Membership, facts: Facts) -> bool:
    return any(
        value in asked.distinct and (isinstance(value, str) or _has_of_type(asked.values, value))
        for value in facts.attributes.get(key, ())
    )


def _has_of_type(values: Iterable[Value], value: Value) -> bool:
    """A closer look: to a set 1.0 and True are one."""
    return any(type(other) is type(value) and other == value for other in values)


def _compares(name: str, operator: Operator, value: Value, facts: Facts) -> bool:
    match name, value:
        case "category", str():
            within = categories.is_within(facts.category, value)
            return facts.category != "" and within == (operator is Operator.EQUAL)
        case "brand", str():
            return facts.brand != "" and (facts.brand == value) == (operator is Operator.EQUAL)
        case "tags", str():
            return (value in facts.tags) == (operator is Operator.EQUAL)
        case "availability", Availability():
            return (facts.availability is value) == (operator is Operator.EQUAL)
        case "price", Money(currency, micros):
            price = facts.price
            known = price is not None and price.currency == currency
            return known and _ordered(operator, price.micros if price else 0, micros)
        case "create_time" | "update_time", Time(micros):
            return _ordered(operator, getattr(facts, name).micros, micros)
        case _, str() | float() | bool() if attribute_key(name):
            return _compares_attribute(attribute_key(name), operator, value, facts)
        case _:
            raise FilterInvalidError("filter", f"{name} can't be evaluated; check() first")


def _compares_attribute(
    key: str, operator: Operator, value: str | float | bool, facts: Facts
) -> bool:
    """Only values of the same type are compared; of several texts one has to be equal, or none."""
    held = [other for other in facts.attributes.get(key, ()) if type(other) is type(value)]
    match operator:
        case Operator.EQUAL:
            return value in held
        case Operator.NOT_EQUAL:
            return bool(held) and value not in held
        case _:
            return any(
                _ordered(operator, other, value)
                for other in held
                if isinstance(other, float) and isinstance(value, float)
            )


_ORDERS: Mapping[Operator, Callable[[float, float], bool]] = {
    Operator.EQUAL: eq,
    Operator.NOT_EQUAL: ne,
    Operator.LESS: lt,
    Operator.LESS_OR_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_OR_EQUAL: ge,
}


def _ordered(operator: Operator, left: float, right: float) -> bool:
    if operator not in _ORDERS:
        raise FilterInvalidError("filter", "contains takes texts only; check() first")
    return _ORDERS[operator](left, right)


def fields(condition: Filter) -> frozenset[str]:
    """Every field that a filter speaks of."""
    match condition:
        case All(filters) | Any(filters):
            return frozenset().union(*(fields(part) for part in filters))
        case Not(inner):
            return fields(inner)
        case Comparison(name) | Membership(name) | Existence(name):
            return frozenset({name})
