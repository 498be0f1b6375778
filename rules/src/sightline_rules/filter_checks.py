"""Which filters can be evaluated: limits, fields, and what each field is compared with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from sightline_rules import categories
from sightline_rules.filters import (
    ATTRIBUTES,
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
    attribute_key,
)

MAX_DEPTH = 8
"""Levels of all, any and not; an `all` that is the whole filter is none, so that a service can add
a condition of its own to any filter."""
MAX_CONJUNCTS = 64
"""Filters of one all or any."""
MAX_MEMBERS = 1_000
MAX_TEXT = 1_024
MAX_PARTS = 256
"""All, any, not and what they hold."""
MAX_VALUES = 4_000
"""Values of all memberships."""
MAX_ATTRIBUTES = 128
"""Attributes of a product: so many texts one key may have."""
MAX_LOOKS = 4_096
"""Looks that a filter takes at one product (`looks`): 32 times `contains` of attributes."""


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

_TEXTS = {"category": categories.MAX_LEVELS}
"""Texts of a field that has several."""
_ATTRIBUTE = FieldRule({str: _EQUALITY | _CONTAINS, float: _ORDER, bool: _EQUALITY})
_KEY = re.compile(r"[a-z0-9_.-]{1,64}")


def check(condition: Filter, path: str = "filter", *, negated: bool = False) -> Filter:
    """Answers the filter if it can be evaluated, or its opposite as a part of an `all`; raises
    FilterInvalidError naming the culprit."""
    _check(condition, path, depth=2 if negated else not isinstance(condition, All))
    parts, values = _size(condition)
    if parts > MAX_PARTS:
        raise FilterInvalidError(path, f"has {parts} parts in all; at most {MAX_PARTS}")
    if values > MAX_VALUES:
        raise FilterInvalidError(path, f"has {values} values in all; at most {MAX_VALUES}")
    if looks(condition) > MAX_LOOKS:
        most = MAX_LOOKS // MAX_ATTRIBUTES
        raise FilterInvalidError(
            path,
            f"looks at up to {looks(condition)} texts of a product; at most {MAX_LOOKS}, "
            f"which is {most} times contains of attributes",
        )
    return condition


def looks(condition: Filter) -> int:
    """What a filter costs: texts and values of a product that are looked at, at most.

    `contains` looks at each text that its field may have, any other condition at one value.
    """
    match condition:
        case All(filters) | Any(filters):
            return sum(map(looks, filters))
        case Not(inner):
            return looks(inner)
        case Comparison(name, Operator.CONTAINS):
            return MAX_ATTRIBUTES if attribute_key(name) else _TEXTS.get(name, 1)
        case Comparison() | Membership() | Existence():
            return 1


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
    if not re.fullmatch("[A-Z]{3}", currency):
        raise FilterInvalidError(path, 'the currency must be three capital letters, like "EUR"')
