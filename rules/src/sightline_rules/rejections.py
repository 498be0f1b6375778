"""Explanation of a rejection: the condition that a product fails, as filters are written."""

from __future__ import annotations

from dataclasses import dataclass

from sightline_rules.facts import Facts, passes
from sightline_rules.filters import (
    All,
    Any,
    Comparison,
    Existence,
    Filter,
    Membership,
    Not,
    Operator,
    fields,
)
from sightline_rules.kinds import literal

MOST_VALUES = 5
"""Values of a membership that are spelt out."""
MOST_TEXT = 1_024
"""Maximum characters of a condition and of a value. Longer ones are cut and end with …"""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Condition that a product fails."""

    path: str
    """Where it stands: "filter.all.filters[1].comparison"."""
    condition: str
    """As the command line writes filters: price < 30 EUR."""
    held: tuple[str, ...]
    """The product's values in the fields that the condition names: "price: 45 EUR"."""


def rejection(condition: Filter, facts: Facts, path: str = "filter") -> Rejection | None:
    """Return the condition of a checked filter that the product fails, or `None` if it passes.

    In an `all` it is the first failing part; a failing `any` or `not` is reported as a whole.
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
        held=tuple(f"{name}: {_cut(_shown(name, facts))}" for name in sorted(fields(condition))),
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
    """Return the condition as the command line writes it; "" passes every product."""
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
            return f"{name}:{literal(value)}"
        case Comparison(name, operator, value):
            return f"{name} {operator} {literal(value)}"
        case Membership(_, ()):
            return "nothing"
        case Membership(name, values):
            shown = [f"{name} = {literal(value)}" for value in values[:MOST_VALUES]]
            more = len(values) - len(shown)
            return " OR ".join([*shown, f"{more} more"] if more else shown)
        case Existence(name):
            return f"{name}:*"


def _inner(condition: Filter, within: type[Filter]) -> str:
    """Return the words of a condition within another one, in parentheses where they are needed: OR
    binds tighter than AND."""
    text = words(condition)
    several = isinstance(condition, All | Any) or (
        isinstance(condition, Membership) and len(condition.values) > 1
    )
    return f"({text})" if several and (within is Not or isinstance(condition, All)) else text


def _shown(name: str, facts: Facts) -> str:
    kind, fact = facts.held(name)
    return kind.shown(fact)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
