"""Conditions on products, written as Python expressions.

    F.category == "Red"
    F.price < money(30, "USD")
    F.brand.in_("Aurora", "Miolo") & (F.tags == "Beef") & (F.availability == Availability.IN_STOCK)
    (F.attribute("vintage") >= 2015) | ~F.attribute("vintage").exists()
    F.title.contains("réserve")

``&`` joins conditions that all hold, ``|`` those of which one holds, ``~`` negates one. A
product without the field (no price, no brand, no such attribute) passes neither ``==`` nor ``!=``;
``~`` is the plain opposite, so it passes ``~(F.brand == "Aurora")``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, NoReturn, TypeAlias, TypeVar

from sightline_client.values.catalog import Availability
from sightline_client.values.money import Money

Value: TypeAlias = str | Money | Availability | datetime | float | bool
"""Value with which a field is compared."""
V = TypeVar("V", bound=Value)


ATTRIBUTES = "attributes."
"""Prefix of an attribute's field name."""


class Operator(StrEnum):
    """Comparison operator."""

    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    LESS = "LESS"
    LESS_OR_EQUAL = "LESS_OR_EQUAL"
    GREATER = "GREATER"
    GREATER_OR_EQUAL = "GREATER_OR_EQUAL"
    CONTAINS = "CONTAINS"


class Filter:
    """A condition on products. Build it from ``F``; join with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: "Filter") -> "All":
        return All((*_flat(self), *_flat(other)))

    def __or__(self, other: "Filter") -> "Any":
        return any_of(self, other)

    def __invert__(self) -> "Filter":
        return self.filter if isinstance(self, Not) else Not(self)

    def __bool__(self) -> NoReturn:
        # `a and b`, `not a` and `low < F.price < high` would silently drop a condition.
        raise TypeError(
            "a filter has no truth value: join conditions with & and |, in parentheses, and "
            "negate one with ~"
        )


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
class Existence(Filter):
    """A test whether the field is known."""

    field: str


@dataclass(frozen=True, slots=True)
class All(Filter):
    """All of several conditions; an empty one passes every product."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Any(Filter):
    """At least one of several conditions; an empty one passes none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """Negation of a condition."""

    filter: Filter


class FilterField:
    """Operations of every field."""

    def __init__(self, name: str) -> None:
        self.name = name

    def exists(self) -> Existence:
        """Pass products that have the field: a brand, a price, at least one tag, an attribute of
        that key."""
        return Existence(self.name)


class SearchedField(FilterField):
    """A text field that filters search in."""

    def contains(self, text: str) -> Comparison:
        """Pass products in whose field the text occurs, ignoring case; for tags: that have this
        very tag."""
        return Comparison(self.name, Operator.CONTAINS, text)


class ComparedField(FilterField, Generic[V]):
    """A field that can be equal to a value or among several."""

    def __eq__(self, value: V) -> Comparison:  # type: ignore[override]
        return Comparison(self.name, Operator.EQUAL, value)

    def __ne__(self, value: V) -> Comparison:  # type: ignore[override]
        return Comparison(self.name, Operator.NOT_EQUAL, value)

    __hash__ = None  # type: ignore[assignment]

    def in_(self, *values: V) -> Membership:
        """Pass products whose field equals any of the values; none = no product passes."""
        return Membership(self.name, values)


class TextField(ComparedField[str], SearchedField):
    """A field of text."""


class OrderedField(ComparedField[V]):
    """A field that can also be less or more than a value."""

    def __lt__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.LESS, value)

    def __le__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.LESS_OR_EQUAL, value)

    def __gt__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.GREATER, value)

    def __ge__(self, value: V) -> Comparison:
        return Comparison(self.name, Operator.GREATER_OR_EQUAL, value)


class AttributeField(OrderedField[str | float | bool], SearchedField):
    """A named attribute. Only its values of the compared type count; one of several texts is
    enough. Texts and flags have no order, and numbers do not contain a text."""


def all_of(*filters: Filter) -> All:
    """Pass products that pass all of these; none = every product passes."""
    return All(tuple(part for item in filters for part in _flat(item)))


def any_of(*filters: Filter) -> Any:
    """Pass products that pass at least one of these; none = no product passes."""
    return Any(
        tuple(
            part
            for item in filters
            for part in (item.filters if isinstance(item, Any) else (item,))
        )
    )


def _flat(item: Filter) -> tuple[Filter, ...]:
    return item.filters if isinstance(item, All) else (item,)
