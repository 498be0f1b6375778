"""Explanation of a rejection: the condition that a product fails, as filters are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sightline_rules.evaluation.conditions import AskedFilters, of_facts
from sightline_rules.evaluation.work import Work, finish
from sightline_rules.facts import Facts
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


def rejections_of(
    condition: Filter, products: Iterable[Facts], path: str = "filter"
) -> Work[list[Rejection | None]]:
    """Return for each product the condition of a checked filter that it fails; `None`: it passes.

    In an `all` it is the first failing part; a failing `any` or `not` is reported as a whole.
    """
    facts = []
    for each in products:
        facts.append(each)
        yield
    asked = of_facts([condition], facts)
    yield from asked.look_up()
    found: list[Rejection | None] = [None] * len(facts)
    yield from _reject(condition, path, asked, facts, found)
    return found


def rejection(condition: Filter, facts: Facts) -> Rejection | None:
    """Return the condition of a checked filter that one product fails, or `None` if it passes."""
    return finish(rejections_of(condition, (facts,)))[0]


def _reject(
    condition: Filter,
    path: str,
    asked: AskedFilters,
    facts: Sequence[Facts],
    found: list[Rejection | None],
) -> Work[None]:
    """Fill in the rejections by a condition of the products that have none yet."""
    if isinstance(condition, All):
        for index, part in enumerate(condition.filters):
            yield from _reject(part, f"{path}.all.filters[{index}]", asked, facts, found)
        return
    passing = yield from asked.evaluate(condition)
    said, names = _cut(words(condition)), sorted(fields(condition))
    for row in (~passing).nonzero()[0].tolist():
        if found[row] is None:
            held = tuple(f"{name}: {_cut(_shown(name, facts[row]))}" for name in names)
            found[row] = Rejection(f"{path}.{_KINDS[type(condition)]}", said, held)
            yield


_KINDS: dict[type[Filter], str] = {
    All: "all",
    Any: "any",
    Not: "not",
    Comparison: "comparison",
    Membership: "membership",
    Existence: "existence",
}


def words(condition: Filter, most: int | None = MOST_VALUES) -> str:
    """Return the condition as the command line writes it; "" passes every product. `most`: values
    of a membership that are spelt out; None: all."""
    match condition:
        case All(filters):
            return " AND ".join(_inner(part, All, most) for part in filters)
        case Any(()):
            return "nothing"
        case Any(filters):
            return " OR ".join(_inner(part, Any, most) for part in filters)
        case Not(inner):
            return f"NOT {_inner(inner, Not, most)}"
        case Comparison(name, Operator.CONTAINS, value):
            return f"{name}:{literal(value)}"
        case Comparison(name, operator, value):
            return f"{name} {operator} {literal(value)}"
        case Membership(_, ()):
            return "nothing"
        case Membership(name, values):
            shown = [f"{name} = {literal(value)}" for value in values[:most]]
            more = len(values) - len(shown)
            return " OR ".join([*shown, f"{more} more"] if more else shown)
        case Existence(name):
            return f"{name}:*"


def _inner(condition: Filter, within: type[Filter], most: int | None) -> str:
    """Return the words of a condition within another one, in parentheses where they are needed: OR
    binds tighter than AND."""
    text = words(condition, most)
    several = isinstance(condition, All | Any) or (
        isinstance(condition, Membership) and len(condition.values) > 1
    )
    return f"({text})" if several and (within is Not or isinstance(condition, All)) else text


def _shown(name: str, facts: Facts) -> str:
    kind, fact = facts.held(name)
    return kind.shown(fact)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
