"""A search in memory: every vector of a small generation compared, on arrays, at once.

What an engine answers of ten thousand rows takes a matrix product of a millisecond; see
docs/engines.md for where the engine becomes the better of the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from retriever.collapse import SPARE, Chosen, Cosines, choose, most_marked
from retriever.columns.keeper import View
from retriever.columns.reads import PhotoRow
from retriever.columns.table import Flags, Ints
from retriever.columns.vectors import Scores, Vectors
from retriever.model import Collapse, Floats
from sightline_rules.filters import Filter

INLINE_NUMBERS = 8_000_000
"""Numbers that are compared without leaving the event loop: 3 ms (one core, 2026-11)."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Products in the order in which they are near, each once, as columns."""

    view: View
    places: Ints
    """In the view's table."""
    similarities: Sequence[float]
    """Of each one's best photo."""
    image_ids: Sequence[str]
    """That photo; empty = the product has one vector itself."""
    chosen: Chosen
    """What near-duplicates leave of them."""
    rows: int
    """How many rows were compared."""


async def nearest(
    view: View,
    vectors: Vectors,
    queries: Sequence[Floats],
    condition: Filter,
    left_out: Collection[str],
    *,
    top_k: int,
    collapse: Collapse,
    own: Ints,
) -> Ordered:
    """The products nearest to any of the queries that pass. `own`: places of products whose
    near-duplicates are left out."""
    if not queries:
        nothing = view.table.places([])
        return Ordered(view, nothing, (), (), Chosen(()), 0)
    scores = await _compare(vectors, queries)
    owners = vectors.owners[: len(scores)]
    rows = np.flatnonzero(_passing(view, condition, left_out)[owners])
    groups = owners if collapse is Collapse.OFF else view.table.families()[owners]
    best = np.full(view.table.family_count, -np.inf, np.float32)
    np.maximum.at(best, groups[rows], scores[rows])
    found = int(np.count_nonzero(best > -np.inf))
    wanted = top_k + len(own) + SPARE
    cosines = None if collapse is Collapse.OFF else _cosines(vectors)
    moved = groups[:0]
    while True:
        near, firsts = _near_rows(rows, scores, groups, best, min(wanted, found))
        others = max(top_k, most_marked(top_k))
        some = _with_best(near, firsts | np.isin(groups[near], moved), scores, others)
        ordered = _in_order(view, vectors, some, scores)
        chosen = await choose(view.table, ordered[0], own, top_k, cosines)
        more = np.setdiff1d(_moved(view, ordered[0], own, chosen), moved)
        if len(some) < len(near) and len(more):
            # Whose best collapsed into another product's may stay by another variant.
            moved = np.union1d(moved, more)
        elif len(chosen.kept) >= top_k or wanted >= found:
            return Ordered(view, *ordered, chosen, len(vectors))
        else:
            wanted *= 2


async def _compare(vectors: Vectors, queries: Sequence[Floats]) -> Scores:
    numbers = len(vectors) * vectors.generation.dimension * len(queries)
    if numbers <= INLINE_NUMBERS:
        return vectors.compare(queries)
    return await asyncio.to_thread(vectors.compare, queries)


def _passing(view: View, condition: Filter, left_out: Collection[str]) -> Flags:
    """By place, whether its product may be found; the last entry is that of no place."""
    table = view.table
    passing = np.zeros(table.size + 1, np.bool_)
    passing[:-1] = view.conditions.passing(condition, np.arange(table.size))
    for product_id in left_out:
        passing[table.place(product_id)] = False
    return passing


def _near_rows(
    rows: Ints, scores: Scores, groups: Ints, best: Scores, wanted: int
) -> tuple[Ints, Flags]:
    """The rows that are as near as the last of the `wanted` best groups, and which of them are the
    best of theirs."""
    tops = best[best > -np.inf]
    if wanted >= len(tops):
        near = rows
    else:
        floor = np.partition(tops, len(tops) - wanted)[len(tops) - wanted]
        near = rows[scores[rows] >= floor]
    return near, scores[near] == best[groups[near]]


def _with_best(near: Ints, firsts: Flags, scores: Scores, more: int) -> Ints:
    """The best rows of groups, and at most `more` others: near-duplicates, and other photos."""
    others = near[~firsts]
    if len(others) > more:
        others = others[np.argpartition(-scores[others], more - 1)[:more]]
    return np.concatenate([near[firsts], others])


def _moved(view: View, order: Ints, own: Ints, chosen: Chosen) -> Ints:
    """The families of products that collapsed into one of another family."""
    families = view.table.families(order)
    into = dict.fromkeys(range(len(order)), -1)
    into.update((each, each) for each in chosen.kept)
    into.update((each, kept) for kept, members in chosen.members.items() for each in members)
    of_query = set(view.table.families(own).tolist())
    return np.array(
        [
            family
            for family, to in zip(families.tolist(), into.values(), strict=True)
            if (family not in of_query if to < 0 else family != families[to])
        ],
        np.int64,
    )


def _in_order(
    view: View, vectors: Vectors, rows: Ints, scores: Scores
) -> tuple[Ints, list[float], list[str]]:
    """Products of rows, nearest first, equal ones by id, each with its best row's similarity and
    photo."""
    ids = view.table.ids
    places = vectors.owners[rows].tolist()
    known = [vectors.key(row) for row in rows.tolist()]
    order = sorted(
        zip((-scores[rows]).tolist(), [ids[p] for p in places], known, places, strict=True),
        key=lambda each: (each[0], each[1], each[2].row_id),
    )
    firsts: dict[int, tuple[float, str, PhotoRow, int]] = {}
    for each in order:
        firsts.setdefault(each[3], each)
    unique = firsts.values()
    return (
        np.array([each[3] for each in unique], np.int64),
        [-each[0] for each in unique],
        [each[2].image_id for each in unique],
    )


def _cosines(vectors: Vectors) -> Cosines:
    async def cosines(pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        return [cosine(vectors.first(one), vectors.first(other)) for one, other in pairs]

    return cosines


def cosine(left: Floats | None, right: Floats | None) -> float | None:
    """Of two vectors; None = one is not there."""
    if left is None or right is None:
        return None
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
