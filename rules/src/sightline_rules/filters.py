"""Filters on products: a small tree of conditions on fields (fields.py); facts.py evaluates it."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as field_of
from enum import StrEnum


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
    """Availability of a product for purchase."""

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
"""Text, number or flag. Compare exact types: True == 1.0 in Python."""
Value = str | Money | Availability | Time | float | bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of a field with one value."""

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Membership:
    """Membership of a field in a set: EQUAL holds for any one of the values."""

    field: str
    values: tuple[Value, ...]
    distinct: frozenset[Value] = field_of(init=False, repr=False, compare=False)
    """The values as a set, built once for all products."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "distinct", frozenset(self.values))


@dataclass(frozen=True, slots=True)
class All:
    """Conjunction. Without parts, every product passes."""

    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """Disjunction. Without parts, no product passes."""

    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """Negation with two values: a product whose field is unknown passes the negation."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class Existence:
    """Test that a field is known."""

    field: str


Filter = All | Any | Not | Comparison | Membership | Existence
Leaf = Comparison | Membership | Existence
"""Conditions on one field."""


class FilterInvalidError(ValueError):
    """Filter that cannot be evaluated. `path` locates the fault: "filter.comparison.field"."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(f"{path}: {description}")
        self.path = path
        self.description = description


ATTRIBUTES = "attributes."
"""Prefix of an attribute's field name; the attribute's key follows."""


def attribute_key(name: str) -> str:
    """Return the attribute key in a field name, or "" if the field is not an attribute."""
    return name[len(ATTRIBUTES) :] if name.startswith(ATTRIBUTES) else ""


def fields(condition: Filter) -> frozenset[str]:
    """Return the names of all fields in a filter's conditions."""
    match condition:
        case All(filters) | Any(filters):
            return frozenset().union(*(fields(part) for part in filters))
        case Not(inner):
            return fields(inner)
        case Comparison(name) | Membership(name) | Existence(name):
            return frozenset({name})
