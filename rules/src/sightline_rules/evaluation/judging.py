"""Judgement of single facts: which of several conditions on a field they pass."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

from sightline_rules.filters import Comparison, Existence, Leaf, Membership, attribute_key
from sightline_rules.kinds import AttributesKind, FieldKind

Judge: TypeAlias = Callable[[Any], list[bool]]
"""Returns for each of several conditions whether a fact passes it."""


def judge_of(kind: FieldKind, leaves: Sequence[Leaf]) -> Judge:
    """Return the judge of conditions on one field; the fact of attributes is all of them by key."""
    if not isinstance(kind, AttributesKind):
        return kind.judge(leaves)
    by_key: dict[str, list[int]] = {}
    for place, leaf in enumerate(leaves):
        by_key.setdefault(attribute_key(leaf.field), []).append(place)
    parts = [
        (key, places, kind.judge([leaves[place] for place in places]))
        for key, places in by_key.items()
    ]
    count = len(leaves)

    def judge(fact: Any) -> list[bool]:
        found = [False] * count
        for key, places, inner in parts:
            for place, passed in zip(places, inner(fact.get(key, ())), strict=True):
                found[place] = passed
        return found

    return judge


def key_of(leaf: Leaf) -> Hashable:
    """Return a condition with the types of its values: as keys 1.0 and True are equal."""
    match leaf:
        case Membership(_, values):
            return leaf, tuple(map(type, values))
        case Comparison(_, _, value):
            return leaf, type(value)
        case Existence():
            return leaf
