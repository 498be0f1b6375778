"""A slow reference of comparisons in memory: random catalogs, and the results of searches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from retriever.columns.column_cache import View
from retriever.columns.table import ProductTable
from retriever.columns.vectors import Vectors, loaded
from retriever.domain.column_rows import PhotoRow
from retriever.domain.generation import IndexParameters, VectorMetric
from retriever.domain.vectors import Floats
from sightline_rules.duplicates import CERTAIN, COLOUR_BITS, same_picture
from sightline_rules.facts import Facts, passes
from sightline_rules.filters import (
    All,
    Availability,
    Comparison,
    Existence,
    Filter,
    Money,
    Not,
    Operator,
)
from tests.fakes.collapsing import Candidate, collapse
from tests.fakes.index import DIMENSION
from tests.unit.retriever.conftest import generation
from tests.unit.retriever.rows import row_of

PICTURE = 0xFD22_0A9F_1C87_6333
HASHES = (
    0,
    PICTURE,
    PICTURE ^ 1 << COLOUR_BITS,
    PICTURE ^ ((1 << (CERTAIN + 2)) - 1) << COLOUR_BITS,
)
"""Hashes: none, one picture, one certainly of the same picture, one for which the vectors
decide."""
CONDITIONS: tuple[Filter, ...] = (
    All(),
    Comparison("brand", Operator.EQUAL, "b1"),
    Comparison("price", Operator.LESS, Money("EUR", 3)),
    Not(Existence("price")),
    Comparison("brand", Operator.EQUAL, "nobody's"),
)


@dataclass(frozen=True)
class Item:
    """A product and its photos' vectors in order; None = that one has none yet."""

    product_id: str
    parent_id: str
    facts: Facts
    image_hash: int
    photos: tuple[Floats | None, ...]


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector.astype(np.float64)), np.float32)


def shop_of(seed: int, count: int, parents: int, spread: float) -> list[Item]:
    """Return products of which many are alike. `parents`: number of products that have variants;
    `spread`: distance of vectors from a few centers."""
    random = np.random.default_rng(seed)
    kinds = random.standard_normal((3, DIMENSION))

    def vector() -> Floats | None:
        near = kinds[random.integers(3)] + spread * random.standard_normal(DIMENSION)
        return None if random.random() < 0.1 else near.astype(np.float32)

    items = []
    for number in random.permutation(count).tolist():
        price = Money(str(random.choice(["EUR", "USD"])), int(random.integers(5)))
        facts = Facts(
            brand=f"b{random.integers(3)}",
            price=None if random.random() < 0.3 else price,
            availability=Availability.IN_STOCK,
        )
        # Parents "q…" are products of their own only where the numbers say so.
        variant = number >= parents and random.random() < 0.6 and parents > 0
        items.append(
            Item(
                f"p{number}" if number >= parents else f"q{number}",
                f"q{random.integers(parents)}" if variant else "",
                facts,
                HASHES[int(random.integers(len(HASHES)))] if random.random() < 0.6 else 0,
                tuple(vector() for _ in range(int(random.integers(4)))),
            )
        )
    return items


def columns_of(items: Sequence[Item], metric: VectorMetric) -> tuple[View, Vectors]:
    table = ProductTable(
        row_of(it.product_id, it.facts, parent_id=it.parent_id, image_hash=it.image_hash)
        for it in items
    )
    rows, fresh = list[PhotoRow](), dict[str, Floats]()
    for it in items:
        for position, vector in enumerate(it.photos):
            if vector is not None:
                name = f"{it.product_id}/{position}"
                rows.append(PhotoRow(name, it.product_id, f"i{position}", position, 1))
                fresh[name] = vector
    made = generation(parameters=IndexParameters(metric=metric))
    return View.of(table), loaded(made, table, rows, fresh)


# The reference


@dataclass(frozen=True)
class Found:
    """A product that passes, by its nearest photo."""

    item: Item
    similarity: float
    image_id: str


def similarity(metric: VectorMetric, query: Floats, vector: Floats) -> float:
    match metric:
        case VectorMetric.COSINE:
            return float(np.clip(unit(query) @ unit(vector), -1, 1))
        case VectorMetric.IP:
            return float(query @ vector)
        case VectorMetric.L2:
            return -float(((query - vector).astype(np.float64) ** 2).sum())


def in_order(
    items: Sequence[Item],
    queries: Sequence[Floats],
    condition: Filter,
    left_out: Collection[str],
    metric: VectorMetric,
) -> list[Found]:
    found = []
    for it in items:
        known = [
            (max(similarity(metric, query, vector) for query in queries), f"i{position}")
            for position, vector in enumerate(it.photos)
            if vector is not None
        ]
        if known and passes(condition, it.facts) and it.product_id not in left_out:
            found.append(Found(it, *max(known)))
    return sorted(found, key=lambda each: (-each.similarity, each.item.product_id))


def marks_of(items: Sequence[Item]) -> dict[str, list[tuple[str, str]]]:
    """Return pairs whose first photos' vectors mark the same picture, as marks of both. Of photos
    with one hash, the first one's vector counts for all."""
    speaking = {it.image_hash: it.photos[0] if it.photos else None for it in reversed(items)}
    marks: dict[str, list[tuple[str, str]]] = {it.product_id: [] for it in items}
    for place, one in enumerate(items):
        for other in items[place + 1 :]:
            left, right = (speaking[each.image_hash] for each in (one, other))
            if left is None or right is None:
                continue
            cosine = float(unit(left) @ unit(right))
            if same_picture(one.image_hash, other.image_hash, cosine):
                for each in (one, other):
                    marks[each.product_id].append((one.product_id, other.product_id))
    return marks


@dataclass(frozen=True)
class Expected:
    """Products by the one into which they collapse, best first, without those of the query."""

    groups: dict[str, tuple[str, ...]]


def collapsed(order: Sequence[Found], own: Sequence[Item]) -> Expected:
    stood = [*own, *(each.item for each in order)]
    marks = marks_of(stood)
    candidates = [
        Candidate(it.product_id, it.parent_id, it.image_hash, marks[it.product_id]) for it in stood
    ]
    groups = collapse(candidates)
    return Expected(
        {
            stood[group.place].product_id: group.collapsed
            for group in groups
            if group.place >= len(own)
        }
    )


def close(one: Sequence[float], other: Sequence[float]) -> bool:
    return list(one) == pytest.approx(list(other), rel=1e-4, abs=1e-5)
