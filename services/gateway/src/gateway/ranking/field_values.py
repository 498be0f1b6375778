"""Values of a field that candidates have, and their ranking by the ranking of the candidates.

A value's score is the discounted gain of its DEPTH best products: each gains the discount of its
place in the ranking of all products, and counts by the discount of its place among the value's own.
The discounts are those of DCG (Järvelin, Kekäläinen 2002, ACM TOIS 20.4): 1 / log2(1 + place). That
a fixed number of the best ones stands for all, missing ones counting as nothing, follows
pseudo-cluster selection (Seo, Croft 2008, CIKM, "Blog site search using resource selection"): a
value has no advantage from further products, and those of a small one are not outvoted.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum, log2
from typing import Any

from gateway.model.query import ValueGrouping
from servicekit.tasks.off_loop import off_loop
from sightline_core.columns import ProductColumns
from sightline_rules import categories, filter_checks, kinds
from sightline_rules.evaluation.work import Work
from sightline_rules.facts import text_of
from sightline_rules.fields import BY_FILTER, FACETED, Field
from sightline_rules.filters import ATTRIBUTES, AttributeValue, FilterInvalidError
from sightline_rules.messages import attributes_of

DEPTH = 5
"""Products of a value that count."""
_SEVERAL_STEPS = 16
"""Work of reading the tags or attributes of one candidate."""

_KINDS = (kinds.CategoryKind, kinds.TextKind, kinds.TextsKind, kinds.AttributesKind)
_GROUPED = {
    field.name: field for field in FACETED if field.candidate and isinstance(field.kind, _KINDS)
}
"""Fields whose values can be ranked, by name."""


@dataclass(frozen=True, slots=True)
class ScoredValue:
    """A value of a field, with its products in the ranking."""

    value: AttributeValue
    score: float
    """More than 0, at most 1."""
    places: Sequence[int]
    """Indexes of its products in the ranking, from 0, ascending."""

    @property
    def text(self) -> str:
        """The value as display text."""
        return text_of(self.value)


def grouped_field(name: str) -> Field:
    """Return the field of this name whose values can be ranked. Raises ValueError with what is
    wrong."""
    try:
        filter_checks.kind_of(name, "field")
    except FilterInvalidError as error:
        raise ValueError(error.description) from error
    field = BY_FILTER[ATTRIBUTES if name.startswith(ATTRIBUTES) else name]
    if field.name not in _GROUPED:
        names = (each for each in _GROUPED if each != ATTRIBUTES[:-1])
        raise ValueError(f"has no values to rank; use {', '.join(names)} or {ATTRIBUTES}<key>")
    return field


async def ranked_values(
    columns: ProductColumns, grouping: ValueGrouping, ranking: Sequence[str]
) -> list[ScoredValue]:
    """Return the values of ranked products, best first; none where columns lack the field.

    Beside the event loop if that takes more than a moment. Raises DeadlineExceeded.
    """
    field = grouped_field(grouping.field)
    if sum(len(rows) for _, rows in columns.blocks) != len(columns.product_ids):
        return []
    several = isinstance(field.kind, kinds.TextsKind | kinds.AttributesKind)
    steps = (_SEVERAL_STEPS if several else 1) * len(columns.product_ids)
    return await off_loop(steps, _ranking(columns, field, grouping, ranking))


def _ranking(
    columns: ProductColumns, field: Field, grouping: ValueGrouping, ranking: Sequence[str]
) -> Work[list[ScoredValue]]:
    values: dict[str, Sequence[AttributeValue]] = {}
    read = _values(columns, field, grouping)
    for product_id, own in zip(columns.product_ids, read, strict=True):
        values[product_id] = own
        yield
    return rank_values([values.get(product_id, ()) for product_id in ranking])


def _values(
    columns: ProductColumns, field: Field, grouping: ValueGrouping
) -> Iterator[Sequence[AttributeValue]]:
    (name,) = field.candidate
    match field.kind:
        case kinds.CategoryKind():
            below = categories.join(grouping.below)
            known: dict[str, str] = {}
            for path in columns.read(name, ""):
                if path not in known:
                    known[path] = categories.child(path, below)
                yield _one(known[path])
        case kinds.TextKind():
            yield from map(_one, columns.read(name, ""))
        case kinds.TextsKind():
            yield from _lists(columns, name)
        case _:
            key = grouping.field.removeprefix(ATTRIBUTES)
            for each in _lists(columns, name):
                named = attributes_of(item for item in each if item.key == key)
                yield named.get(key, ())


def _one(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _lists(columns: ProductColumns, name: str) -> Iterator[Sequence[Any]]:
    lists: list[Any] = columns.read(name, None)
    for each in lists:
        yield each.values if each else ()


def rank_values(values: Sequence[Sequence[AttributeValue]]) -> list[ScoredValue]:
    """Return all values, best first; equal scores by the best product, then by text.

    `values`: of each product, best product first.
    """
    found: dict[Hashable, tuple[AttributeValue, list[int]]] = {}
    for place, own in enumerate(values):
        for value in dict.fromkeys((type(each), each) for each in own):
            found.setdefault(value, (value[1], []))[1].append(place)
    scored = [ScoredValue(value, score(places), places) for value, places in found.values()]
    return sorted(scored, key=lambda each: (-each.score, each.places[0], each.text))


def score(places: Sequence[int]) -> float:
    """Return the score of a value whose products have these indexes in the ranking, ascending."""
    gained = fsum(_DISCOUNTS[at] / log2(2 + place) for at, place in enumerate(places[:DEPTH]))
    return min(gained / _IDEAL, 1.0)


_DISCOUNTS = tuple(1 / log2(2 + place) for place in range(DEPTH))
_IDEAL = fsum(each * each for each in _DISCOUNTS)
