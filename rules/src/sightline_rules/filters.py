"""Filters on products: a small tree of conditions, its checks and its meaning.

This is the reference: an engine's own filter must pass exactly the products that `passes` passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sightline_rules import categories

MAX_DEPTH = 8
MAX_CONJUNCTS = 64
MAX_MEMBERS = 1_000
MAX_TEXT = 1_024
MAX_PARTS = 256
"""Comparisons, memberships and conjunctions in all: a product takes at most about 0.2 ms."""
MAX_VALUES = 4_000
"""Values of all memberships."""


class Operator(StrEnum):
    """How a field compares with a value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


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


Value = str | Money | Availability | Time


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


@dataclass(frozen=True, slots=True)
class All:
    """Every one of the filters holds; none given = passes."""

    filters: tuple[Filter, ...] = ()


Filter = All | Comparison | Membership


@dataclass(frozen=True, slots=True)
class Facts:
    """What filters may ask of a product."""

    category: str = ""
    """Path with " > " between levels; "" = uncategorised."""
    brand: str = ""
    """"" = unknown."""
    price: Money | None = None
    availability: Availability = Availability.IN_STOCK
    tags: frozenset[str] = frozenset()
    create_time: Time = Time(0)
    update_time: Time = Time(0)


class FilterInvalidError(ValueError):
    """A filter that can't be evaluated; `path` names the culprit: "filter.comparison.field"."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(f"{path}: {description}")
        self.path = path
        self.description = description


_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_ALL_OPERATORS = frozenset(Operator)


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a field can be compared with, and how."""

    kind: type[str] | type[Money] | type[Availability] | type[Time]
    kind_name: str
    operators: frozenset[Operator]


FIELDS: Mapping[str, FieldRule] = {
    "category": FieldRule(str, "text", _EQUALITY),
    "brand": FieldRule(str, "text", _EQUALITY),
    "price": FieldRule(Money, "money", _ALL_OPERATORS),
    "availability": FieldRule(Availability, "availability", _EQUALITY),
    "tags": FieldRule(str, "text", _EQUALITY),
    "create_time": FieldRule(Time, "time", _ALL_OPERATORS),
    "update_time": FieldRule(Time, "time", _ALL_OPERATORS),
}
"""Every field that a filter may name."""


def check(condition: Filter, path: str = "filter") -> Filter:
    """Answers the filter if it can be evaluated; raises FilterInvalidError naming the culprit."""
    _check(condition, path, depth=1)
    parts, values = _size(condition)
    if parts > MAX_PARTS:
        raise FilterInvalidError(path, f"has {parts} parts in all; at most {MAX_PARTS}")
    if values > MAX_VALUES:
        raise FilterInvalidError(path, f"has {values} values in all; at most {MAX_VALUES}")
    return condition


def _size(condition: Filter) -> tuple[int, int]:
    """Parts in all, and values of memberships in all."""
    match condition:
        case All(filters):
            sizes = [_size(part) for part in filters]
            return 1 + sum(size[0] for size in sizes), sum(size[1] for size in sizes)
        case Membership(_, values):
            return 1, len(values)
        case Comparison():
            return 1, 0


def _check(condition: Filter, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FilterInvalidError(path, f"is nested deeper than {MAX_DEPTH} levels")
    match condition:
        case All(filters):
            if len(filters) > MAX_CONJUNCTS:
                raise FilterInvalidError(
                    f"{path}.all.filters", f"has {len(filters)} parts; at most {MAX_CONJUNCTS}"
                )
            for index, part in enumerate(filters):
                _check(part, f"{path}.all.filters[{index}]", depth + 1)
        case Comparison(field, operator, value):
            rule = rule_of(field, f"{path}.comparison.field")
            if operator not in rule.operators:
                allowed = " ".join(sorted(rule.operators))
                raise FilterInvalidError(
                    f"{path}.comparison.operator", f"{field} takes only {allowed}"
                )
            _check_value(field, rule, value, f"{path}.comparison.value")
        case Membership(field, values):
            rule = rule_of(field, f"{path}.membership.field")
            if len(values) > MAX_MEMBERS:
                raise FilterInvalidError(
                    f"{path}.membership.values", f"has {len(values)} values; at most {MAX_MEMBERS}"
                )
            for index, value in enumerate(values):
                _check_value(field, rule, value, f"{path}.membership.values[{index}]")


def rule_of(field: str, path: str) -> FieldRule:
    """What `field` can be compared with; raises FilterInvalidError at `path` for an unknown one."""
    rule = FIELDS.get(field)
    if rule is None:
        raise FilterInvalidError(path, f"unknown field; use one of {', '.join(FIELDS)}")
    return rule


def _check_value(field: str, rule: FieldRule, value: Value, path: str) -> None:
    # Availability is a str too: the exact class decides.
    if type(value) is not rule.kind:
        raise FilterInvalidError(path, f"{field} is compared with a {rule.kind_name} value")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise FilterInvalidError(path, f"has {len(value)} characters; at most {MAX_TEXT}")
    if isinstance(value, Money):
        check_currency(value.currency, path)
        if not 0 <= value.micros < 2**63:
            raise FilterInvalidError(path, "must be an amount from 0 to about 9.2e12")


def check_currency(currency: str, path: str) -> None:
    """Raises FilterInvalidError unless `currency` looks like an ISO 4217 code."""
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise FilterInvalidError(path, 'the currency must be three capital letters, like "EUR"')


def passes(condition: Filter, facts: Facts) -> bool:
    """Whether a product passes a filter that `check` let through."""
    match condition:
        case All(filters):
            return all(passes(part, facts) for part in filters)
        case Comparison(field, operator, value):
            return _compares(field, operator, value, facts)
        case Membership(field, values):
            return _is_among(field, frozenset(values), facts)


def _is_among(field: str, values: frozenset[Value], facts: Facts) -> bool:
    """Whether EQUAL holds for any one of the values, however many there are."""
    match field:
        case "category":
            return not values.isdisjoint(categories.ancestors(facts.category))
        case "brand":
            return facts.brand != "" and facts.brand in values
        case "tags":
            return not values.isdisjoint(facts.tags)
        case "availability":
            return facts.availability in values
        case "price":
            return facts.price in values
        case "create_time":
            return facts.create_time in values
        case "update_time":
            return facts.update_time in values
        case _:
            raise FilterInvalidError("filter", f"{field} can't be evaluated; check() first")


def _compares(field: str, operator: Operator, value: Value, facts: Facts) -> bool:
    match field, value:
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
        case "create_time", Time(micros):
            return _ordered(operator, facts.create_time.micros, micros)
        case "update_time", Time(micros):
            return _ordered(operator, facts.update_time.micros, micros)
        case _:
            raise FilterInvalidError("filter", f"{field} can't be evaluated; check() first")


def _ordered(operator: Operator, left: int, right: int) -> bool:
    match operator:
        case Operator.EQUAL:
            return left == right
        case Operator.NOT_EQUAL:
            return left != right
        case Operator.LESS:
            return left < right
        case Operator.LESS_OR_EQUAL:
            return left <= right
        case Operator.GREATER:
            return left > right
        case Operator.GREATER_OR_EQUAL:
            return left >= right


def fields(condition: Filter) -> frozenset[str]:
    """Every field that a filter speaks of."""
    match condition:
        case All(filters):
            return frozenset().union(*(fields(part) for part in filters))
        case Comparison(field) | Membership(field):
            return frozenset({field})


def conjunction(parts: Sequence[Filter]) -> Filter:
    """One filter that passes what every part passes."""
    return parts[0] if len(parts) == 1 else All(tuple(parts))
