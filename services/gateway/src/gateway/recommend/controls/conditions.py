"""Conditions of a scene's controls on the request. Pure."""

from collections.abc import Iterable

from gateway.model.controls import RequestCondition
from gateway.model.filters import CallersFilter, parts_of
from gateway.model.query import RequestQuery
from sightline_rules.messages import read
from sightline_rules.rejections import words
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


def _conditions(given: CallersFilter | None) -> frozenset[str]:
    """Return the conditions that products have to pass, as text."""
    return frozenset(words(read(each.message)) for each in parts_of(given))
