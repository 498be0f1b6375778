"""Conditions of a scene's controls on the request. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable

from gateway.model.controls import RequestCondition
from gateway.model.filters import CallersFilter, parts_of
from gateway.model.query import RequestQuery
from sightline_rules.filters import (
    All,
    Any,
    Comparison,
    Existence,
    Filter,
    Membership,
    Not,
    Operator,
    Value,
)
from sightline_rules.messages import read
from sightline_rules.words import typed_words


def is_met(condition: RequestCondition, query: RequestQuery) -> bool:
    """Return whether a request meets each part of a condition that is set."""
    named = frozenset(query.audiences)
    return (
        (not condition.words or _has_words(condition.words, query))
        and (not condition.markets or query.market_id in condition.markets)
        and (not condition.audiences or not named.isdisjoint(condition.audiences))
        and _conditions(condition.filter) <= _conditions(query.filter)
    )


def _has_words(terms: Iterable[str], query: RequestQuery) -> bool:
    """Return whether a positive text of the request has all words of one of the terms."""
    texts = [query.text, *(signal.text for signal in query.wanted)]
    asked = [frozenset(typed_words(text)) for text in texts if text]
    return any(typed.issuperset(typed_words(term)) for term in terms for typed in asked)


def _conditions(given: CallersFilter | None) -> frozenset[Hashable]:
    """Return the conditions that products have to pass, each in one form."""
    return frozenset().union(*(_parts(read(each.message)) for each in parts_of(given)))


def _parts(condition: Filter) -> frozenset[Hashable]:
    """Return the conditions that all have to pass."""
    if isinstance(condition, All):
        return frozenset().union(*map(_parts, condition.filters))
    return frozenset([_form(condition)])


def _form(condition: Filter) -> Hashable:
    """Return a form that conditions share which differ only in order, or in how values of one field
    are listed."""
    match condition:
        case All():
            parts = _parts(condition)
            return next(iter(parts)) if len(parts) == 1 else (All, parts)
        case Any(filters):
            return _any(filters)
        case Not(inner):
            return Not, _form(inner)
        case Comparison(name, Operator.EQUAL, value):
            return Membership, name, frozenset([_exact(value)])
        case Comparison(name, operator, value):
            return name, operator, _exact(value)
        case Membership(name, values):
            return Membership, name, frozenset(map(_exact, values))
        case Existence():
            return condition


def _any(filters: Iterable[Filter]) -> Hashable:
    """Return the form of a disjunction, with the values of each field in one membership."""
    values = defaultdict[str, frozenset[Hashable]](frozenset)
    others = set[Hashable]()
    for each in map(_form, filters):
        match each:
            case (kind, str(name), frozenset() as some) if kind is Membership:
                values[name] |= some
            case _:
                others.add(each)
    parts = others.union((Membership, name, some) for name, some in values.items())
    return next(iter(parts)) if len(parts) == 1 else (Any, frozenset(parts))


def _exact(value: Value) -> Hashable:
    """Return what tells a value from those of other types: True == 1.0."""
    return type(value), value
