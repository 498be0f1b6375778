"""Why a product does not pass a filter, in words that a person who wrote the filter knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Facts,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    Value,
    attribute_key,
    fields,
    passes,
)

MOST_VALUES = 5
"""Values of a membership that are spelt out."""
MOST_TEXT = 1_024
"""Characters of a condition and of a value; what is longer ends with …"""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rejection:
    """The condition that keeps a product out."""

    path: str
    """Where it stands: "filter.all.filters[1].comparison"."""
    condition: str
    """As the command line writes filters: price < 30 EUR."""
    held: tuple[str, ...]
    """What the product has in the fields that the condition names: "price: 45 EUR"."""


def rejection(condition: Filter, facts: Facts, path: str = "filter") -> Rejection | None:
    """Why the product does not pass a filter that `check` let through; None = it passes.

    Of `all` the first condition that does not hold decides; an `any` of which none holds and a
    `not` whose inside holds decide as a whole.
    """
    if passes(condition, facts):
        return None
    if isinstance(condition, All):
        for index, part in enumerate(condition.filters):
            found = rejection(part, facts, f"{path}.all.filters[{index}]")
            if found is not None:
                return found
    return Rejection(
        path=f"{path}.{_KINDS[type(condition)]}",
        condition=_cut(words(condition)),
        held=tuple(f"{name}: {_cut(_held(name, facts))}" for name in sorted(fields(condition))),
    )


_KINDS: dict[type[Filter], str] = {
    All: "all",
    Any: "any",
    Not: "not",
    Comparison: "comparison",
    Membership: "membership",
    Existence: "existence",
}


def words(condition: Filter) -> str:
    """The condition as the command line writes filters; "" = every product passes."""
    match condition:
        case All(filters):
            return " AND ".join(_inner(part, All) for part in filters)
        case Any(()):
            return "nothing"
        case Any(filters):
            return " OR ".join(_inner(part, Any) for part in filters)
        case Not(inner):
            return f"NOT {_inner(inner, Not)}"
        case Comparison(name, Operator.CONTAINS, value):
            return f"{name}:{_value(value)}"
        case Comparison(name, operator, value):
            return f"{name} {operator} {_value(value)}"
        case Membership(_, ()):
            return "nothing"
        case Membership(name, values):
            shown = [f"{name} = {_value(value)}" for value in values[:MOST_VALUES]]
            more = len(values) - len(shown)
            return " OR ".join([*shown, f"{more} more"] if more else shown)
        case Existence(name):
            return f"{name}:*"


def _inner(condition: Filter, within: type[Filter]) -> str:
    """Words of a condition inside another one; in parentheses where they would be read otherwise,
    as OR binds tighter than AND."""
    text = words(condition)
    several = isinstance(condition, All | Any) or (
        isinstance(condition, Membership) and len(condition.values) > 1
    )
    return f"({text})" if several and (within is Not or isinstance(condition, All)) else text


def _value(value: Value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case Availability():
            return value.value
        case Money():
            return _money(value)
        case Time():
            return f'"{_time(value)}"'
        case float():
            return f"{value:.15g}"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'


def _money(value: Money) -> str:
    units, rest = divmod(value.micros, 1_000_000)
    cents = f"{rest:06}".rstrip("0")
    amount = f"{units}.{cents:0<2}" if cents else str(units)
    return f"{amount} {value.currency}"


def _time(value: Time) -> str:
    try:
        moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value.micros)
    except OverflowError:
        return f"{value.micros} µs"
    return moment.isoformat().replace("+00:00", "Z")


def _held(name: str, facts: Facts) -> str:
    """What a product has in a field."""
    match name:
        case "category" | "brand":
            return str(getattr(facts, name)) or UNKNOWN
        case "title":
            return facts.title
        case "price":
            return _money(facts.price) if facts.price is not None else UNKNOWN
        case "availability":
            return facts.availability.value
        case "tags":
            return ", ".join(sorted(facts.tags)) or "none"
        case "create_time" | "update_time":
            return _time(getattr(facts, name))
        case _:
            return _plain(facts.attributes.get(attribute_key(name), ())) or UNKNOWN


def _plain(values: Iterable[str | float | bool]) -> str:
    return ", ".join(value if isinstance(value, str) else _value(value) for value in values)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
