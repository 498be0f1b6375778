"""Checks of filters before evaluation: limits, fields, operators and literals."""

import re
from collections.abc import Sequence
from math import isfinite

from sightline_rules.fields import BY_FILTER
from sightline_rules.filters import (
    ATTRIBUTES,
    All,
    Any,
    Comparison,
    Existence,
    Filter,
    FilterInvalidError,
    Membership,
    Money,
    Not,
    Operator,
    Value,
    attribute_key,
)
from sightline_rules.kinds import LITERAL_NAMES, MAX_ATTRIBUTES, FieldKind

MAX_DEPTH = 8
"""Levels of all, any and not; an `all` that is the whole filter is none, so that a service can add
a condition of its own to any filter."""
MAX_CONJUNCTS = 64
"""Maximum number of filters in one `all` or `any`."""
MAX_MEMBERS = 1_000
MAX_TEXT = 1_024
MAX_PARTS = 256
"""All, any, not and what they hold."""
MAX_VALUES = 4_000
"""Values of all memberships."""
MAX_LOOKS = 4_096
"""Maximum cost of a filter for one product (`looks`): 32 times CONTAINS of attributes."""


NAMES = tuple(field.name for name, field in BY_FILTER.items() if name != ATTRIBUTES)
"""Fields that a filter can name, without attributes."""

_KEY = re.compile(r"[a-z0-9_.-]{1,64}")


def check(condition: Filter, path: str = "filter", *, negated: bool = False) -> Filter:
    """Return the filter if it can be evaluated; with `negated`, if its negation can be a part of an
    `all`. Raises FilterInvalidError, whose path locates the fault."""
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
    """Return the cost of a filter: texts and values of one product that it compares, at most.

    CONTAINS compares each text that the field can have, any other condition one value.
    """
    match condition:
        case All(filters) | Any(filters):
            return sum(map(looks, filters))
        case Not(inner):
            return looks(inner)
        case Comparison(name, Operator.CONTAINS):
            field = BY_FILTER.get(ATTRIBUTES if attribute_key(name) else name)
            return 1 if field is None else field.kind.looks
        case Comparison() | Membership() | Existence():
            return 1


def _size(condition: Filter) -> tuple[int, int]:
    """Return the number of parts and the number of membership values."""
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
            kind_of(name, f"{path}.existence.field")


def _check_list(filters: Sequence[Filter], path: str, depth: int) -> None:
    if len(filters) > MAX_CONJUNCTS:
        raise FilterInvalidError(path, f"has {len(filters)} parts; at most {MAX_CONJUNCTS}")
    for index, part in enumerate(filters):
        _check(part, f"{path}[{index}]", depth + 1)


def _check_comparison(given: Comparison, path: str) -> None:
    kind = kind_of(given.field, f"{path}.field")
    _check_operator(given, kind.all_operators, "", path)
    _check_value(given.field, kind, given.value, f"{path}.value")
    literal = type(given.value)
    taken = f" with a {LITERAL_NAMES[literal]} value" if len(kind.operators) > 1 else ""
    _check_operator(given, kind.operators[literal], taken, path)
    if given.operator is Operator.CONTAINS and not given.value:
        raise FilterInvalidError(f"{path}.value", "has no characters; contains takes at least one")


def _check_operator(given: Comparison, allowed: frozenset[Operator], taken: str, path: str) -> None:
    if given.operator not in allowed:
        raise FilterInvalidError(
            f"{path}.operator", f"{given.field} takes only {' '.join(sorted(allowed))}{taken}"
        )


def _check_membership(given: Membership, path: str) -> None:
    kind = kind_of(given.field, f"{path}.field")
    if Operator.EQUAL not in kind.all_operators:
        raise FilterInvalidError(
            f"{path}.field", f"{given.field} takes only {' '.join(sorted(kind.all_operators))}"
        )
    if len(given.values) > MAX_MEMBERS:
        raise FilterInvalidError(
            f"{path}.values", f"has {len(given.values)} values; at most {MAX_MEMBERS}"
        )
    for index, value in enumerate(given.values):
        _check_value(given.field, kind, value, f"{path}.values[{index}]")


def kind_of(name: str, path: str) -> FieldKind:
    """Return the kind of a field that a filter names. Raises FilterInvalidError at `path` if the
    field is unknown."""
    if name in BY_FILTER and name != ATTRIBUTES:
        return BY_FILTER[name].kind
    if not name.startswith(ATTRIBUTES):
        known = f"{', '.join(NAMES)} or {ATTRIBUTES}<key>"
        raise FilterInvalidError(path, f"unknown field; use one of {known}")
    if not _KEY.fullmatch(attribute_key(name)):
        raise FilterInvalidError(path, "an attribute's key has 1 to 64 of a-z, 0-9, _, . and -")
    return BY_FILTER[ATTRIBUTES].kind


def _check_value(name: str, kind: FieldKind, value: Value, path: str) -> None:
    # An availability is a str too: the exact class decides.
    if type(value) not in kind.operators:
        raise FilterInvalidError(path, f"{name} is compared with a {kind.literal_names} value")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise FilterInvalidError(path, f"has {len(value)} characters; at most {MAX_TEXT}")
    if isinstance(value, Money):
        check_currency(value.currency, path)
        if not 0 <= value.micros < 2**63:
            raise FilterInvalidError(path, "must be an amount from 0 to about 9.2e12")
    if isinstance(value, float) and not isfinite(value):
        raise FilterInvalidError(path, "must be a finite number")


def check_currency(currency: str, path: str) -> None:
    """Raise FilterInvalidError unless `currency` looks like an ISO 4217 code."""
    if not re.fullmatch("[A-Z]{3}", currency):
        raise FilterInvalidError(path, 'the currency must be three capital letters, like "EUR"')
