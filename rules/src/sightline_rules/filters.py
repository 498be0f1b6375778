"""Filters on products: a small tree of conditions, its checks and its meaning.

This is the reference: an engine's own filter must pass exactly the products that `passes` passes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from math import isfinite

from sightline_rules import categories

MAX_DEPTH = 8
"""Levels of all, any and not; an `all` that is the whole filter is none, so that a service can add
a condition of its own to any filter."""
MAX_CONJUNCTS = 64
"""Filters of one all or any."""
MAX_MEMBERS = 1_000
MAX_TEXT = 1_024
MAX_PARTS = 256
"""All, any, not and what they hold: a product takes at most about 0.5 ms."""
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
    attributes: Mapping[str, tuple[AttributeValue, ...]] = field(default_factory=dict, hash=False)
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


_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_CONTAINS = frozenset({Operator.CONTAINS})
_ORDER = frozenset(Operator) - _CONTAINS

Kind = type[str] | type[Money] | type[Availability] | type[Time] | type[float] | type[bool]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a field can be compared with, and how."""

    operators: Mapping[Kind, frozenset[Operator]]
    """By kind of value."""

    @property
    def kind_names(self) -> str:
        """The kinds of value that it takes, in words."""
        return " or ".join(_KIND_NAME[kind] for kind in self.operators)

    @property
    def all_operators(self) -> frozenset[Operator]:
        """Every operator that it takes with some kind of value."""
        return frozenset().union(*self.operators.values())


_KIND_NAME: Mapping[Kind, str] = {
    str: "text",
    Money: "money",
    Availability: "availability",
    Time: "time",
    float: "number",
    bool: "flag",
}

FIELDS: Mapping[str, FieldRule] = {
    "category": FieldRule({str: _EQUALITY | _CONTAINS}),
    "brand": FieldRule({str: _EQUALITY | _CONTAINS}),
    "title": FieldRule({str: _CONTAINS}),
    "price": FieldRule({Money: _ORDER}),
    "availability": FieldRule({Availability: _EQUALITY}),
    "tags": FieldRule({str: _EQUALITY | _CONTAINS}),
    "create_time": FieldRule({Time: _ORDER}),
    "update_time": FieldRule({Time: _ORDER}),
}
"""Every field that a filter may name, but attributes."""

ATTRIBUTES = "attributes."
"""What the name of an attribute's field begins with; its key follows."""
_ATTRIBUTE = FieldRule({str: _EQUALITY | _CONTAINS, float: _ORDER, bool: _EQUALITY})
_KEY = re.compile(r"[a-z0-9_.-]{1,64}")


def attribute_key(name: str) -> str:
    """The key of an attribute's field; "" = the field is no attribute."""
    return name[len(ATTRIBUTES) :] if name.startswith(ATTRIBUTES) else ""


def check(condition: Filter, path: str = "filter") -> Filter:
    """Answers the filter if it can be evaluated; raises FilterInvalidError naming the culprit."""
    _check(condition, path, depth=0 if isinstance(condition, All) else 1)
    parts, values = _size(condition)
    if parts > MAX_PARTS:
        raise FilterInvalidError(path, f"has {parts} parts in all; at most {MAX_PARTS}")
    if values > MAX_VALUES:
        raise FilterInvalidError(path, f"has {values} values in all; at most {MAX_VALUES}")
    return condition


def _size(condition: Filter) -> tuple[int, int]:
    """Parts in all, and values of memberships in all."""
    match condition:
        case All(filters) | Any(filters):
            sizes = [_size(part) for part in filters]
            return 1 + sum(size[0] for size in sizes), sum(size[1] for size in sizes)
        case Not(inner):
            parts, values = _size(inner)
            return 1 + parts, values
        case Membership(_, members):
            return 1, len(members)
        case Comparison() | Existence():
            return 1, 0


def _check(condition: Filter, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FilterInvalidError(path, f"is nested deeper than {MAX_DEPTH} levels")
    match condition:
        case All(filters):
            _check_list(filters, f"{path}.all.filters", depth)
        case Any(filters):
            _check_list(filters, f"{path}.any.filters", depth)
        case Not(inner):
            _check(inner, f"{path}.not", depth + 1)
        case Comparison():
            _check_comparison(condition, f"{path}.comparison")
        case Membership():
            _check_membership(condition, f"{path}.membership")
        case Existence(name):
            rule_of(name, f"{path}.existence.field")


def _check_list(filters: Sequence[Filter], path: str, depth: int) -> None:
    if len(filters) > MAX_CONJUNCTS:
        raise FilterInvalidError(path, f"has {len(filters)} parts; at most {MAX_CONJUNCTS}")
    for index, part in enumerate(filters):
        _check(part, f"{path}[{index}]", depth + 1)


def _check_comparison(given: Comparison, path: str) -> None:
    rule = rule_of(given.field, f"{path}.field")
    _check_operator(given, rule.all_operators, "", path)
    _check_value(given.field, rule, given.value, f"{path}.value")
    kind = type(given.value)
    taken = f" with a {_KIND_NAME[kind]} value" if len(rule.operators) > 1 else ""
    _check_operator(given, rule.operators[kind], taken, path)
    if given.operator is Operator.CONTAINS and not given.value:
        raise FilterInvalidError(f"{path}.value", "has no characters; contains takes at least one")


def _check_operator(given: Comparison, allowed: frozenset[Operator], taken: str, path: str) -> None:
    if given.operator not in allowed:
        raise FilterInvalidError(
            f"{path}.operator", f"{given.field} takes only {' '.join(sorted(allowed))}{taken}"
        )


def _check_membership(given: Membership, path: str) -> None:
    rule = rule_of(given.field, f"{path}.field")
    if Operator.EQUAL not in rule.all_operators:
        raise FilterInvalidError(
            f"{path}.field", f"{given.field} takes only {' '.join(sorted(rule.all_operators))}"
        )
    if len(given.values) > MAX_MEMBERS:
        raise FilterInvalidError(
            f"{path}.values", f"has {len(given.values)} values; at most {MAX_MEMBERS}"
        )
    for index, value in enumerate(given.values):
        _check_value(given.field, rule, value, f"{path}.values[{index}]")


def rule_of(name: str, path: str) -> FieldRule:
    """What the field can be compared with. Raises FilterInvalidError at `path` if it is unknown."""
    rule = FIELDS.get(name)
    if rule is not None:
        return rule
    if not name.startswith(ATTRIBUTES):
        known = f"{', '.join(FIELDS)} or {ATTRIBUTES}<key>"
        raise FilterInvalidError(path, f"unknown field; use one of {known}")
    if not _KEY.fullmatch(attribute_key(name)):
        raise FilterInvalidError(path, "an attribute's key has 1 to 64 of a-z, 0-9, _, . and -")
    return _ATTRIBUTE


def _check_value(name: str, rule: FieldRule, value: Value, path: str) -> None:
    # Availability is a str too: the exact class decides.
    if type(value) not in rule.operators:
        raise FilterInvalidError(path, f"{name} is compared with a {rule.kind_names} value")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise FilterInvalidError(path, f"has {len(value)} characters; at most {MAX_TEXT}")
    if isinstance(value, Money):
        check_currency(value.currency, path)
        if not 0 <= value.micros < 2**63:
            raise FilterInvalidError(path, "must be an amount from 0 to about 9.2e12")
    if isinstance(value, float) and not isfinite(value):
        raise FilterInvalidError(path, "must be a finite number")


def check_currency(currency: str, path: str) -> None:
    """Raises FilterInvalidError unless `currency` looks like an ISO 4217 code."""
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise FilterInvalidError(path, 'the currency must be three capital letters, like "EUR"')


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
        case Membership(name, values):
            if key := attribute_key(name):
                return _is_among_attributes(key, values, facts)
            return _is_among(name, frozenset(values), facts)
        case Existence(name):
            return _exists(name, facts)


def _exists(name: str, facts: Facts) -> bool:
    match name:
        case "category":
            return facts.category != ""
        case "brand":
            return facts.brand != ""
        case "tags":
            return bool(facts.tags)
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
        case "brand":
            return (facts.brand,)
        case "title":
            return (facts.title,)
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
        case "availability":
            return facts.availability in values
        case "price":
            return facts.price in values
        case "create_time":
            return facts.create_time in values
        case "update_time":
            return facts.update_time in values
        case _:
            raise FilterInvalidError("filter", f"{name} can't be evaluated; check() first")


def _is_among_attributes(key: str, values: Sequence[Value], facts: Facts) -> bool:
    held, asked = facts.attributes.get(key, ()), frozenset(values)
    return any(
        value in asked and (isinstance(value, str) or _has_of_type(values, value)) for value in held
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
        case "create_time", Time(micros):
            return _ordered(operator, facts.create_time.micros, micros)
        case "update_time", Time(micros):
            return _ordered(operator, facts.update_time.micros, micros)
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


def _ordered(operator: Operator, left: float, right: float) -> bool:
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
        case Operator.CONTAINS:
            raise FilterInvalidError("filter", "contains takes texts only; check() first")


def fields(condition: Filter) -> frozenset[str]:
    """Every field that a filter speaks of."""
    match condition:
        case All(filters) | Any(filters):
            return frozenset().union(*(fields(part) for part in filters))
        case Not(inner):
            return fields(inner)
        case Comparison(name) | Membership(name) | Existence(name):
            return frozenset({name})


def conjunction(parts: Sequence[Filter]) -> Filter:
    """One filter that passes what every part passes."""
    return parts[0] if len(parts) == 1 else All(tuple(parts))
