"""Bounds on the products that pass a filter, from its parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from retriever.domain.vectors import Floats
from sightline_rules import categories
from sightline_rules.filters import All, Any, Comparison, Filter, Membership, Money, Operator

MAX_KEYS = 20
"""Values of a membership that an index is asked for."""
MAX_TRIED = 3
"""Parts of a filter, at most, that are tried for the narrowest."""
Part = Comparison | Membership


def indexed_parts(condition: Filter) -> list[Part]:
    """Return the parts that every match satisfies and an index of the record can look up."""
    match condition:
        case All(parts):
            return [found for part in parts for found in indexed_parts(part)]
        case Comparison("category" | "brand", Operator.EQUAL, str() as text) if text:
            return [condition]
        case Comparison("price", operator, Money()) if operator is not Operator.NOT_EQUAL:
            return [condition]
        case Membership("category" | "brand", values) if 0 < len(values) <= MAX_KEYS:
            return [condition] if all(values) else []
        case _:
            return []


@dataclass(frozen=True, slots=True)
class MatchingRows:
    """Rows that pass a filter, with their vectors."""

    keys: Sequence[tuple[str, str, str]]
    """Row id, product id and image id of each row."""
    vectors: Floats
    """Shape (rows, dimension)."""


def top_categories(condition: Filter) -> frozenset[str] | None:
    """Return the top categories that contain every match; None if a match may be in any."""
    match condition:
        case All(parts):
            known = [found for part in parts if (found := top_categories(part)) is not None]
            return frozenset.intersection(*known) if known else None
        case Any(parts):
            known = [found for part in parts if (found := top_categories(part)) is not None]
            return frozenset().union(*known) if len(known) == len(parts) else None
        case Comparison("category", Operator.EQUAL, str() as path) if path:
            return frozenset((categories.split(path)[0],))
        case Membership("category", paths) if all(paths):
            return frozenset(categories.split(str(path))[0] for path in paths)
        case _:
            return None
