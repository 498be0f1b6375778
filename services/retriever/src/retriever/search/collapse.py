"""Near-duplicates among the products that a search found; the rule is sightline_rules.duplicates.

Where hashes leave open whether two photos are one picture, the photos' vectors say it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from retriever.columns.table import Ints, Table
from sightline_rules import duplicates
from sightline_rules.grouping import grouped, near_pictures

SPARE = 32
"""Families, beyond those wanted, whose pictures are compared at first: some show the same."""

MOST_COMPARED = 512
"""Products of which each is compared with each."""

Cosines = Callable[[Sequence[tuple[int, int]]], Awaitable[Sequence[float | None]]]
"""The cosine of the first photos' vectors of pairs of products, by their places in the table; None
= one of them has none."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of some products stay, as places in their order, best first."""

    kept: Sequence[int]
    members: dict[int, list[int]] = field(default_factory=dict)
    """By one that stays, its near-duplicates, best first; none = it has none."""


def most_marked(top_k: int) -> int:
    """Near-duplicates, at most, that stay beside what they collapse into, for callers who may drop
    that: a shop with thirty variants a product is not thirty times the work."""
    return 20 + top_k // 4


async def choose(
    table: Table, order: Ints, own: Ints, wanted: int, cosines: Cosines | None
) -> Chosen:
    """The products that stay of an order, best first, without near-duplicates of better ones and of
    the query's own products.

    `order`, `own`: places in the table. Only as much of the order is looked at as it takes to have
    `wanted` products, if there are so many. `cosines`: None = near-duplicates are products like
    any other.
    """
    if cosines is None:
        return Chosen(range(len(order)))
    places = np.concatenate([own, order])
    families = table.families(places)
    firsts = np.sort(np.unique(families, return_index=True)[1])
    count = wanted + len(own) + SPARE
    while True:
        end = len(places) if len(firsts) <= count else int(firsts[count])
        pairs = await _same_pictures(
            table, places[:end], families[:end], firsts[firsts < end], cosines
        )
        found = grouped(families[:end].tolist(), pairs)
        kept = [place - len(own) for place in found.kept if place >= len(own)]
        if len(kept) >= wanted or end == len(places):
            members = {
                into - len(own): [place - len(own) for place in places]
                for into, places in found.members().items()
                if into >= len(own)
            }
            return Chosen(kept, members)
        count *= 2


async def _same_pictures(
    table: Table, places: Ints, families: Ints, firsts: Ints, cosines: Cosines
) -> list[tuple[int, int]]:
    """Pairs of an order that show the same picture: of a long one those that decide what stays. Of
    two variants of one parent only the better is compared then, unless it collapses itself."""
    hashes = table.image_hash[places]
    few = len(places) <= MOST_COMPARED
    pairs, distances = _near(hashes, np.arange(len(places)) if few else firsts)
    if len(pairs) and not few:
        involved = np.isin(families, families[pairs.reshape(-1)])
        others = np.setdiff1d(np.flatnonzero(involved), firsts)
        if len(others):
            pairs, distances = _near(hashes, np.union1d(firsts, others))
    open_ = np.flatnonzero(distances > duplicates.CERTAIN)
    same = [(one, other) for one, other in pairs[distances <= duplicates.CERTAIN].tolist()]
    if len(open_):
        open_pairs = [(one, other) for one, other in pairs[open_].tolist()]
        asked = [(int(places[one]), int(places[other])) for one, other in open_pairs]
        for pair, cosine in zip(open_pairs, await cosines(asked), strict=True):
            if cosine is not None and cosine >= duplicates.COSINE:
                same.append(pair)
    return same


def _near(hashes: npt.NDArray[np.uint64], looked: Ints) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Pairs among some places whose hashes may be of one picture, and how far they are apart."""
    pairs, distances = near_pictures(hashes[looked], duplicates.POSSIBLE)
    return looked[pairs], distances
