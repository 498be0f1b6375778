"""Conditions on products, written as Python expressions.

    F.category == "Red"
    F.price < money(30, "USD")
    F.brand.in_("Aurora", "Miolo") & (F.tags == "Beef") & (F.availability == Availability.IN_STOCK)

``&`` joins conditions; there is no "or" but ``in_``. A product without the field (no price, no
brand) passes neither ``==`` nor ``!=``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, NoReturn, TypeAlias, TypeVar

from sightline_client.catalogue import Availability, Money

Value: TypeAlias = str | Money | Availability | datetime
V = TypeVar("V", bound=Value)


class Operator(StrEnum):
    """How a field compares with a value."""

    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    LESS = "LESS"
    LESS_OR_EQUAL = "LESS_OR_EQUAL"
    GREATER = "GREATER"
    GREATER_OR_EQUAL = "GREATER_OR_EQUAL"


class Filter:
    """A condition on products. Build it from ``F``; join with ``&``."""

    __slots__ = ()

    def __and__(self, other: "Filter") -> "All":
        return All((*_flat(self), *_flat(other)))

    def __bool__(self) -> NoReturn:
        # `a and b`, `not a` and `low < F.price < high` would silently drop a condition.
        raise TypeError("a filter has no truth value: join conditions with &, in parentheses")


@dataclass(frozen=True, slots=True)
class Comparison(Filter):
    """field operator value."""

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Membership(Filter):
    """field in (values)."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class All(Filter):
    """Every one of several conditions."""

    filters: tuple[Filter, ...]


class Field(Generic[V]):
    """A field that can be equal to a value or among several."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, value: V) -> Comparison:  # type: ignore[override]
        return Comparison(self.name, Operator.EQUAL, value)

    def __ne__(self, value: V) -> Comparison:  # type: ignore[override]
        return Comparison(self.name, Operator.NOT_EQUAL, value)

    __hash__ = None  # type: ignore[assignment]

    def in_(self, *values: V) -> Membership:
        """The field is equal to any one of the values; none = nothing passes."""
        return Membership(self.name, values)


class OrderedField(Field[V]):
    """A field that can also be less or more than a value."""

    def __lt__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.LESS, value)

    def __le__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.LESS_OR_EQUAL, value)

    def __gt__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.GREATER, value)

    def __ge__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.GREATER_OR_EQUAL, value)


class F:
    """The fields that a filter can speak of."""

    category = Field[str]("category")
    """A path, levels joined by " > ", e.g. "Wine > Red": that category and all below it."""
    brand = Field[str]("brand")
    price = OrderedField[Money]("price")
    """Only prices in the same currency pass."""
    availability = Field[Availability]("availability")
    tags = Field[str]("tags")
    """``F.tags == "Beef"``: the product has that tag."""
    create_time = OrderedField[datetime]("create_time")
    update_time = OrderedField[datetime]("update_time")


def all_of(*filters: Filter) -> All:
    """Every one of these; none = every product passes."""
    return All(tuple(part for item in filters for part in _flat(item)))


def _flat(item: Filter) -> tuple[Filter, ...]:
    return item.filters if isinstance(item, All) else (item,)
