"""Facts of a product and the reference evaluation of filters.

Every other evaluator (arrays, SQL, the index's expressions) passes exactly the products that
`passes` passes; tests/unit/rules/test_evaluators.py compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any as Anything

from sightline_rules.fields import FILTERED, NAMED
from sightline_rules.filters import (
    All,
    Any,
    AttributeValue,
    Comparison,
    Existence,
    Filter,
    FilterInvalidError,
    Membership,
    Not,
    attribute_key,
)
from sightline_rules.kinds import FieldKind
from sightline_rules.markets import MARKET, split, value_of


class Facts:
    """What filters can ask of one product: a value for each filtered field, by name."""

    __slots__ = ("_values",)
    _values: Mapping[str, Anything]

    def __init__(self, **values: Anything) -> None:
        """Keep the given fields; others are unknown. Raises TypeError for an unknown field name."""
        if not values.keys() <= _UNKNOWN.keys():
            raise TypeError(f"no fields: {', '.join(sorted(values.keys() - _UNKNOWN.keys()))}")
        object.__setattr__(self, "_values", {**_UNKNOWN, **values})

    def __getattr__(self, name: str) -> Anything:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"facts cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = (f"{name}={value!r}" for name, value in self._values.items())
        return f"Facts({', '.join(values)})"

    def __reduce__(self) -> tuple[Anything, ...]:
        return _facts, (dict(self._values),)

    def held(self, name: str) -> tuple[FieldKind, Anything]:
        """Return kind and fact of a field as a filter names it. Raises FilterInvalidError."""
        if key := attribute_key(name):
            return _ATTRIBUTES, self._values["attributes"].get(key, ())
        base, market_id = split(name)
        field = NAMED.get(base)
        if field is None or not field.filtered:
            raise FilterInvalidError("filter", f"{name} can't be evaluated; check() first")
        if market_id:
            markets = self._values[MARKET]
            return field.kind, value_of(base, self._values[base], markets, market_id)
        return field.kind, self._values[base]


_ATTRIBUTES = NAMED["attributes"].kind
_UNKNOWN: Mapping[str, Anything] = {
    field.name: {} if field.kind is _ATTRIBUTES else field.kind.unknown for field in FILTERED
}


def _facts(values: Mapping[str, Anything]) -> Facts:
    return Facts(**values)


def by_key(
    attributes: Iterable[tuple[str, AttributeValue]],
) -> dict[str, tuple[AttributeValue, ...]]:
    """Return attributes as facts hold them: the values of each key."""
    found: dict[str, list[AttributeValue]] = {}
    for key, value in attributes:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def text_of(value: AttributeValue) -> str:
    """Return an attribute's value as display text: 12.0 → "12", True → "true"."""
    return value if isinstance(value, str) else json.dumps(value).removesuffix(".0")


def passes(condition: Filter, facts: Facts) -> bool:
    """Return whether a product passes a filter that `check` let through."""
    match condition:
        case All(filters):
            return all(passes(part, facts) for part in filters)
        case Any(filters):
            return any(passes(part, facts) for part in filters)
        case Not(inner):
            return not passes(inner, facts)
        case Comparison(name) | Membership(name) | Existence(name):
            kind, fact = facts.held(name)
            return kind.passes(fact, condition)
