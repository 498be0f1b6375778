"""Near-duplicates among the products that a search found; the rule is sightline_rules.duplicates.

Where hashes leave open whether two photos are one picture, the photos' vectors decide.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field

import numpy as np

from retriever.columns.arrays import Flags, Ints
from retriever.columns.table import ProductTable
from retriever.domain.vectors import Floats
from sightline_rules.duplicates import COSINE, NO_HASH
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.grouping import (
    Agree,
    Hashes,
    doubtful,
    grouped,
    grouped_by_hashes,
)

SPARE = 32
"""Families, beyond those wanted, whose pictures are compared at first: some show the same."""
FEW = 8
"""Products up to which pictures are compared one by one: as arrays they take ten times as many
calls."""
WIDER = 4
"""Factor by which more families are examined when there were too few."""
INLINE_PRODUCTS = 512
"""Products that are compared without leaving the event loop: 1 ms (one core, 2026-11)."""

FirstVectors = Callable[[Ints], Awaitable[Mapping[int, Floats]]]
"""The vectors of the first photos of products at these places in the table, of those that have
one."""


@fast_dataclass(frozen=True, slots=True)
class Chosen:
    """The products that stay, as indexes into the given order, best first."""

    kept: Sequence[int]
    members: dict[int, list[int]] = field(default_factory=dict)
    """Near-duplicates of each product that stays, best first; no entry: none."""


def most_marked(top_k: int) -> int:
    """Return the most near-duplicates kept beside the product that they collapse into.

    Callers may drop that product. The limit bounds the work for shops with many variants.
    """
    return 20 + top_k // 4


async def choose(
    table: ProductTable,
    order: Ints,
    own: Ints,
    wanted: int,
    vectors: FirstVectors | None,
    *,
    unique: Callable[[Ints], Flags] | None = None,
) -> Chosen:
    """Return products of an order, best first, without near-duplicates of better ones and of the
    query's own products.

    `order`, `own`: places in the table. Only as much of the order is read as yields `wanted`
    products. `vectors` None: near-duplicates are kept. `unique`: returns which products are known
    to be the only ones with their picture, so that pictures are not compared; None: unknown.
    """
    if vectors is None:
        return Chosen(range(len(order)))
    places = np.concatenate([own, order]) if len(own) else order
    alone = np.zeros(len(places), np.bool_) if unique is None else unique(places)
    related = True in table.related(places)
    if not related and False not in alone:  # as in most answers
        return Chosen(range(min(len(order), wanted + SPARE)))
    families = family = firsts = np.arange(len(places))
    if related:
        families = table.families(places)
        _, first, family = np.unique(families, return_index=True, return_inverse=True)
        firsts, family = np.sort(first), first[family]
    into, count = family.copy(), wanted + len(own) + SPARE
    while True:
        end = len(places) if len(firsts) <= count else int(firsts[count])
        like = np.zeros(len(places), np.bool_)
        like[family[:end][~alone[:end]]] = True
        (rows,) = like[family[:end]].nonzero()
        if len(rows) > 1:
            found = await _grouped(table, places[rows], families[rows].tolist(), vectors)
            into[rows] = rows[list(found)]
        stays = into[:end] == np.arange(end)
        stays[: len(own)] = False
        kept: list[int] = (stays.nonzero()[0] - len(own)).tolist()
        if len(kept) >= wanted or end == len(places):
            return Chosen(kept, _members(into[:end], len(own)))
        count *= WIDER


def _members(into: Ints, own: int) -> dict[int, list[int]]:
    """Return, by each product that stays, those that collapse into it, without the first `own`."""
    found: dict[int, list[int]] = {}
    (rows,) = ((into != np.arange(len(into))) & (into >= own)).nonzero()
    for row, to in zip((rows - own).tolist(), (into[rows] - own).tolist(), strict=True):
        if to in found:
            found[to] += [row]
        else:
            found[to] = [row]
    return found


async def _grouped(
    table: ProductTable, places: Ints, families: Sequence[int], vectors: FirstVectors
) -> Sequence[int]:
    """Group an order by near-duplicates. Return for each product its representative.

    Where hashes are inconclusive, vectors are compared once a hash: those of its best product.
    """
    hashes = table.image_hash[places]
    if len(families) <= FEW:
        few = grouped_by_hashes(families, hashes.tolist())
        if few is not None:
            return few
    values, bests = np.unique(hashes, return_index=True)
    bests = bests[values != NO_HASH]
    bests = bests[doubtful(hashes[bests])]
    agree = _agreement(hashes, places, bests, await vectors(places[bests])) if len(bests) else None
    if len(families) <= INLINE_PRODUCTS:
        return grouped(families, hashes, agree=agree).into
    return (await asyncio.to_thread(grouped, families, hashes, agree=agree)).into


def _agreement(
    hashes: Hashes, places: Ints, bests: Ints, vectors: Mapping[int, Floats]
) -> Agree | None:
    """Return whether the vectors of photos agree.

    `bests`: by hash, the place of its best product in the order.
    """
    asked = [best for best in bests.tolist() if int(places[best]) in vectors]
    if not asked:
        return None
    units = np.stack([vectors[int(places[best])] for best in asked]).astype(np.float32)
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    units /= np.where(lengths > 0, lengths, 1)
    known = hashes.tolist()
    rows = {known[best]: row for row, best in enumerate(asked)}

    def agree(one: int, others: Sequence[int]) -> list[bool]:
        row = rows.get(known[one])
        if row is None:
            return [False] * len(others)
        compared = [rows.get(known[it]) for it in others]
        return [it is not None and float(units[row] @ units[it]) >= COSINE for it in compared]

    return agree
