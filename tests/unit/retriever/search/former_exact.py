"""The search in memory of release 0.35, which compared the pictures of all that it found, and
evaluated filters at each: the reference of the present one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retriever.columns.arrays import Flags, Ints
from retriever.columns.column_cache import View
from retriever.columns.near_rows import Scores
from retriever.columns.table import ProductTable
from retriever.columns.vectors import Vectors
from retriever.domain.index_values import Collapse
from retriever.domain.vectors import Floats
from retriever.search.collapse import SPARE, Chosen, FirstVectors, most_marked
from retriever.search.exact import Ordered
from sightline_rules.duplicates import COSINE, NO_HASH
from sightline_rules.filters import Filter
from sightline_rules.grouping import Agree, Grouped, Hashes, doubtful, grouped

WIDER = 4


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
    """Return the passing products nearest to any of the queries, nearest first.

    `own`: places of products whose near-duplicates are left out.
    """
    if not queries:
        nothing = view.table.places([])
        return Ordered(view, nothing, (), (), Chosen(()), 0, view.table.stamped)
    # A write may happen from here on: a product that it changes is found by its former vectors.
    owners = vectors.owners.copy()
    scores = vectors.compare(queries)
    shortlist = _Shortlist(view, owners, scores, condition, left_out)
    firsts = None if collapse is Collapse.OFF else _firsts(vectors)
    if firsts is not None:
        shortlist.pass_over_pictures(own[_staying(view, own)])
    wanted = top_k + len(own) + SPARE
    moved = np.zeros(0, np.int64)
    while True:
        near = await shortlist.nearest(wanted, by_family=firsts is not None)
        others = max(top_k, most_marked(top_k))
        needed = near.firsts | np.isin(near.groups, moved) if len(moved) else near.firsts
        some = _with_best(near, needed, scores, others)
        ordered = _in_order(view, vectors, owners, some, scores)
        chosen = await _chosen(view.table, ordered[0], own, top_k, firsts)
        more = np.setdiff1d(_moved(view, ordered[0], own, chosen), moved)
        if len(some) < len(near.rows) and len(more):
            # A family whose best variant collapsed into another product may remain by another
            # variant.
            moved = np.union1d(moved, more)
        elif len(chosen.kept) >= top_k or near.everything:
            return Ordered(view, *ordered, chosen, len(vectors), view.table.stamped)
        else:
            shortlist.pass_over_pictures(ordered[0][chosen.kept], others)
            wanted *= WIDER


def _staying(view: View, own: Ints) -> list[int]:
    """Return which of the query's products are not near-duplicates of earlier ones."""
    return grouped(view.table.families(own).tolist(), view.table.image_hash[own]).kept


@dataclass(frozen=True, slots=True)
class _Near:
    """The rows that are as near as the last of some best groups. Entry i of every column speaks of
    the same row."""

    rows: Ints
    groups: Ints
    """Its product, or its product's family."""
    firsts: Flags
    """True if it is the nearest of its group."""
    everything: bool
    """True if no other row passes."""


class _Shortlist:
    """The nearest rows, extended while too few of them pass, so that the cost of a search, apart
    from the comparison, does not grow with the catalog.
    """

    def __init__(
        self, view: View, owners: Ints, scores: Scores, condition: Filter, left_out: Collection[str]
    ) -> None:
        self._view = view
        self._owners = owners
        self._scores = scores
        self._condition = condition
        self._left_out = view.table.places(list(left_out))
        self._pictures: Hashes = np.zeros(0, np.uint64)
        self._count = 0
        """Number of rows examined; further rows may be as near as the last of them."""
        self._rows = self._places = np.zeros(0, np.int64)
        """Those of them that pass, and their products' places."""

    def pass_over_pictures(self, staying: Ints, more: int = 0) -> None:
        """Skip further rows of products with the picture of a better remaining one, and examine
        `more` rows, because thousands of products may have one picture. `staying`: places of the
        remaining products among all that are at least as near."""
        hashes = self._view.table.image_hash
        pictures = hashes[staying]
        self._pictures = np.union1d(self._pictures, pictures[pictures != NO_HASH])
        if not len(self._rows):
            return
        copies = np.isin(hashes[self._places], self._pictures) & ~np.isin(self._places, staying)
        nearest = np.argsort(-self._scores[self._rows[copies]], kind="stable")
        seen = np.ones(len(self._rows), np.bool_)
        seen[np.flatnonzero(copies)[nearest[more:]]] = False
        self._rows, self._places = self._rows[seen], self._places[seen]

    async def nearest(self, wanted: int, *, by_family: bool) -> _Near:
        """Return all rows that are at least as near as the best row of the `wanted`-th group.

        `by_family`: groups are families; otherwise products.
        """
        while True:
            groups = self._view.table.families(self._places) if by_family else self._places
            names, group = np.unique(groups, return_inverse=True)
            if len(names) >= wanted or self._count >= len(self._scores):
                break
            await self._widen(wanted)
        scores = self._scores[self._rows]
        best = np.full(len(names), -np.inf, np.float32)
        np.maximum.at(best, group, scores)
        everything = len(names) <= wanted and self._count >= len(self._scores)
        if everything:
            near = np.arange(len(scores))
        else:
            near = np.flatnonzero(scores >= np.partition(best, -wanted)[-wanted])
        firsts = scores[near] == best[group[near]]
        return _Near(self._rows[near], groups[near], firsts, everything)

    async def _widen(self, wanted: int) -> None:
        self._count = WIDER * max(self._count, wanted)
        if self._count >= len(self._scores):
            rows = np.arange(len(self._scores))
        else:
            rows = np.flatnonzero(self._scores >= _floor(self._scores, self._count))
        places = self._owners[rows]
        passing = await self._view.conditions.passing(self._condition, places)
        if len(self._left_out):
            passing &= ~np.isin(places, self._left_out)
        if len(self._pictures):
            known = np.isin(self._view.table.image_hash[places], self._pictures)
            passing &= ~known | np.isin(rows, self._rows)
        self._rows, self._places = rows[passing], places[passing]


def _floor(scores: Scores, count: int) -> np.float32:
    """Return a score that at least `count` others reach, and not many more.

    The maxima of equal parts of the scores are fewer to sort than all scores.
    """
    shares = len(scores) // max(1, len(scores) // (2 * count))
    of_each = scores[: len(scores) // shares * shares].reshape(-1, shares).max(axis=0)
    floor: np.float32 = np.partition(of_each, -count)[-count]
    return floor


def _with_best(near: _Near, needed: Flags, scores: Scores, more: int) -> Ints:
    """Return the needed rows and at most `more` others: near-duplicates and further photos."""
    others = near.rows[~needed]
    if len(others) > more:
        others = others[np.argpartition(-scores[others], more - 1)[:more]]
    return np.concatenate([near.rows[needed], others])


def _moved(view: View, order: Ints, own: Ints, chosen: Chosen) -> Ints:
    """Return the families of products that collapsed into one of another family."""
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
    view: View, vectors: Vectors, owners: Ints, rows: Ints, scores: Scores
) -> tuple[Ints, list[float], list[str]]:
    """Return the products of rows, nearest first, equal ones by id, each with its best row's
    similarity and photo."""
    ids = view.table.ids
    order = rows[np.argsort(-scores[rows])]
    falling = scores[order]
    if (falling[1:] == falling[:-1]).any():

        def by_id(row: int) -> tuple[float, str, str]:
            return -float(scores[row]), ids[owners[row]], vectors.key(row).row_id

        order = np.array(sorted(rows.tolist(), key=by_id), np.int64)
    firsts: dict[int, int] = {}
    for row, place in zip(order.tolist(), owners[order].tolist(), strict=True):
        firsts.setdefault(place, row)
    best = list(firsts.values())
    photos = [vectors.key(row).image_id for row in best]
    return np.array(list(firsts), np.int64), scores[best].tolist(), photos


def _firsts(vectors: Vectors) -> FirstVectors:
    async def firsts(places: Ints) -> dict[int, Floats]:
        found = ((place, vectors.first(place)) for place in places.tolist())
        return {place: vector for place, vector in found if vector is not None}

    return firsts


async def _chosen(
    table: ProductTable, order: Ints, own: Ints, wanted: int, vectors: FirstVectors | None
) -> Chosen:
    """Return products of an order, best first, without near-duplicates of better ones and of the
    query's own products.

    `order`, `own`: places in the table. Only as much of the order is read as yields `wanted`
    products. `vectors` None: near-duplicates are kept.
    """
    if vectors is None:
        return Chosen(range(len(order)))
    places = np.concatenate([own, order])
    families = table.families(places)
    firsts = np.sort(np.unique(families, return_index=True)[1])
    count = wanted + len(own) + SPARE
    while True:
        end = len(places) if len(firsts) <= count else int(firsts[count])
        found = await _grouped(table, places[:end], families[:end].tolist(), vectors)
        kept = [place - len(own) for place in found.kept if place >= len(own)]
        if len(kept) >= wanted or end == len(places):
            members = {
                into - len(own): [place - len(own) for place in places]
                for into, places in found.members().items()
                if into >= len(own)
            }
            return Chosen(kept, members)
        count *= WIDER


async def _grouped(
    table: ProductTable, places: Ints, families: Sequence[int], vectors: FirstVectors
) -> Grouped:
    """Group an order by near-duplicates.

    Where hashes are inconclusive, vectors are compared once a hash: those of its best product.
    """
    hashes = table.image_hash[places]
    values, bests = np.unique(hashes, return_index=True)
    bests = bests[values != NO_HASH]
    bests = bests[doubtful(hashes[bests])]
    agree = _agreement(hashes, places, bests, await vectors(places[bests])) if len(bests) else None
    return grouped(families, hashes, agree=agree)


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
