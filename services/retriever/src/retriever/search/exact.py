"""A search in memory: every vector of a small generation is compared, on arrays. Ten thousand rows
take a matrix product of a millisecond; lab/research/engines.md has the size from which the engine
is faster.
"""

import asyncio
from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from retriever.columns.arrays import Flags, Ints
from retriever.columns.column_cache import View
from retriever.columns.near_rows import KeptRows, NearRows, Rows, Scores
from retriever.columns.vectors import KEPT_NUMBERS, Vectors
from retriever.domain.index_values import Collapse
from retriever.domain.vectors import Floats
from retriever.search.collapse import SPARE, Chosen, FirstVectors, choose, most_marked
from sightline_core.columns import Stamp
from sightline_rules.duplicates import NO_HASH
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.filters import Filter
from sightline_rules.grouping import Hashes, grouped

WIDER = 4
"""Rows examined per wanted group, and the factor by which more are examined when these were too
few."""

FEW = 8
"""Products left out up to which each is compared with all rows."""
INLINE_NUMBERS = 8_000_000
"""Numbers that are compared without leaving the event loop: 3 ms (one core, 2026-11)."""
WRITTEN_SHARE = 8
"""Once one row in this many was written since a former comparison, all rows are compared again."""
SHARE_NUMBERS = 4_000_000
"""Numbers that one thread compares at a time in larger generations, so that several cores are
used."""


@fast_dataclass(frozen=True, slots=True)
class Ordered:
    """Products in the order in which they are near, each once, as columns."""

    view: View
    places: Ints
    """In the view's table."""
    similarities: Sequence[float]
    """Similarity of each product's best photo."""
    image_ids: Sequence[str]
    """That photo. Empty if the vector is the product's own."""
    chosen: Chosen
    """The products left after collapsing near-duplicates."""
    rows: int
    """Number of rows compared."""
    stamp: Stamp
    """Stamp of the columns and vectors from which they were chosen."""


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
    stamp = view.table.stamped
    if not queries:
        nothing = view.table.places([])
        return Ordered(view, nothing, (), (), Chosen(()), 0, stamp)
    # A write may happen from here on: a product that it changes is found by its former vectors.
    comparison, single = _Comparison(vectors, queries), not vectors.several
    shortlist = _Shortlist(view, comparison, condition, left_out, single=single)
    unique = vectors.unique(view.table).at
    firsts = None if collapse is Collapse.OFF else _firsts(vectors)
    if firsts is not None and len(own) and False in unique(own):
        staying = grouped(view.table.families(own).tolist(), view.table.image_hash[own]).kept
        shortlist.pass_over_pictures(own[staying])
    wanted = top_k + len(own) + SPARE
    moved = np.zeros(0, np.int64)
    while True:
        near = await shortlist.nearest(wanted, by_family=firsts is not None)
        others = max(top_k, most_marked(top_k))
        needed = near.firsts | np.isin(near.groups, moved) if len(moved) else near.firsts
        some = _with_best(near, needed, others)
        rows, scores = near.rows[some], near.scores[some]
        ordered = _in_order(view, vectors, comparison.owners, rows, scores, single=single)
        chosen = await choose(view.table, ordered[0], own, top_k, firsts, unique=unique)
        cut = len(rows) < len(near.rows)
        if cut and len(more := np.setdiff1d(_moved(view, ordered[0], own, chosen), moved)):
            # A family whose best variant collapsed into another product may remain by another
            # variant.
            moved = np.union1d(moved, more)
        elif len(chosen.kept) >= top_k or near.everything:
            return Ordered(view, *ordered, chosen, len(vectors), stamp)
        else:
            shortlist.pass_over_pictures(ordered[0][chosen.kept], others)
            wanted *= WIDER


class _Comparison:
    """A comparison of queries with the rows that there are when it begins."""

    def __init__(self, vectors: Vectors, queries: Sequence[Floats]) -> None:
        """Begin without any similarity."""
        self.owners = vectors.owners
        self.total = len(self.owners)
        """Number of rows."""
        self._vectors, self._queries = vectors, queries
        self._scores: Scores | None = None

    async def nearest(self, count: int) -> tuple[Rows, Scores]:
        """Return at least `count` rows and not many more, those that are as near as the last of
        them included, as (rows, similarities), ascending rows; all rows if there are fewer."""
        total, vectors = self.total, self._vectors
        worth = count < total and total * vectors.generation.dimension >= KEPT_NUMBERS
        kept = vectors.kept if worth else None
        if self._scores is None:
            if kept is not None and (found := self._former(kept, count, total)) is not None:
                return found
            self._scores = await _compare(vectors, self._queries, total)
        if count >= total:
            return np.arange(total), self._scores
        floor = _floor(self._scores, count)
        (rows,) = (self._scores >= floor).nonzero()
        scores = self._scores[rows]
        if kept is not None:
            near = NearRows(rows.astype(np.int32), scores, floor, count, total)
            kept.keep(self._queries, near, vectors.size)
        return rows, scores

    def _former(self, kept: KeptRows, count: int, total: int) -> tuple[Rows, Scores] | None:
        """Return rows by a former comparison, if there was one."""
        numbers = self._vectors.generation.dimension * len(self._queries)
        most = min(total // WRITTEN_SHARE, INLINE_NUMBERS // numbers)
        compare = self._vectors.compare
        return kept.nearest(self._queries, count, total, compare, most_written=most)


async def _compare(vectors: Vectors, queries: Sequence[Floats], rows: int) -> Scores:
    numbers = vectors.generation.dimension * len(queries)
    if rows * numbers <= INLINE_NUMBERS:
        return vectors.compare(queries)
    ends = [*range(0, rows, max(1, SHARE_NUMBERS // numbers)), rows]
    shares = (asyncio.to_thread(vectors.compare, queries, slice(*each)) for each in pairwise(ends))
    return np.concatenate(await asyncio.gather(*shares))


@fast_dataclass(frozen=True, slots=True)
class _Near:
    """The rows that are as near as the last of some best groups. Entry i of every column speaks of
    the same row."""

    rows: Rows
    scores: Scores
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
        self,
        view: View,
        comparison: _Comparison,
        condition: Filter,
        left_out: Collection[str],
        *,
        single: bool,
    ) -> None:
        """`single`: no product has two rows."""
        self._view = view
        self._comparison = comparison
        self._condition = condition
        self._left_out = view.table.places(list(left_out))
        self._single = single
        self._pictures: Hashes = np.zeros(0, np.uint64)
        self._count = 0
        """Number of rows examined; further rows may be as near as the last of them."""
        self._rows: Rows = np.zeros(0, np.int32)
        """Examined rows that pass the filter."""
        self._places: Ints = np.zeros(0, np.int64)
        """Place of the product of each."""
        self._scores: Scores = np.zeros(0, np.float32)
        """Similarity of each."""

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
        nearest = np.argsort(-self._scores[copies], kind="stable")
        seen = np.ones(len(self._rows), np.bool_)
        seen[np.flatnonzero(copies)[nearest[more:]]] = False
        self._rows, self._places = self._rows[seen], self._places[seen]
        self._scores = self._scores[seen]

    async def nearest(self, wanted: int, *, by_family: bool) -> _Near:
        """Return all rows that are at least as near as the best row of the `wanted`-th group.

        `by_family`: groups are families; otherwise products.
        """
        while True:
            groups, names, group = self._grouped(by_family=by_family)
            if names >= wanted or self._count >= self._comparison.total:
                break
            await self._widen(wanted)
        scores = best = self._scores
        if group is not None:
            best = np.full(names, -np.inf, np.float32)
            np.maximum.at(best, group, scores)
        whole = self._count >= self._comparison.total
        rows, everything = self._rows, names <= wanted and whole
        if not everything:
            near = scores >= best[best.argpartition(-wanted)[-wanted]]
            rows, groups, scores = rows[near], groups[near], scores[near]
            group = None if group is None else group[near]
        firsts = ~np.zeros(len(rows), np.bool_) if group is None else scores == best[group]
        return _Near(rows, scores, groups, firsts, everything)

    def _grouped(self, *, by_family: bool) -> tuple[Ints, int, Ints | None]:
        """Return the group of each row, their number, and the number of each row's group from 0;
        None if each row has a group of its own."""
        places = self._places
        if self._single and not (by_family and True in self._view.table.related(places)):
            return places, len(places), None
        groups = self._view.table.families(places) if by_family else places
        names, group = np.unique(groups, return_inverse=True)
        return groups, len(names), group

    async def _widen(self, wanted: int) -> None:
        self._count = WIDER * max(self._count, wanted)
        rows, scores = await self._comparison.nearest(self._count)
        places = self._comparison.owners[rows]
        passing = await self._view.conditions.passing(self._condition, places)
        if len(self._left_out) > FEW:
            passing &= ~np.isin(places, self._left_out)
        else:
            for place in self._left_out.tolist():
                passing &= places != place
        if len(self._pictures):
            known = np.isin(self._view.table.image_hash[places], self._pictures)
            passing &= ~known | np.isin(rows, self._rows)
        self._rows, self._places = rows[passing], places[passing]
        self._scores = scores[passing]


def _floor(scores: Scores, count: int) -> np.float32:
    """Return a score that at least `count` others reach, and not many more.

    The maxima of equal parts of the scores are fewer to sort than all scores.
    """
    size = len(scores)
    shares = size // (size // (2 * count) or 1)
    of_each = np.maximum.reduce(scores[: size // shares * shares].reshape(-1, shares))
    of_each.partition(-count)
    floor: np.float32 = of_each[-count]
    return floor


def _with_best(near: _Near, needed: Flags, more: int) -> slice | Ints:
    """Return the index of the needed rows and at most `more` others: near-duplicates and further
    photos."""
    (others,) = (~needed).nonzero()
    if len(others) <= more:
        return slice(None)
    best = np.argpartition(-near.scores[others], more - 1)[:more]
    return np.concatenate([needed.nonzero()[0], others[best]])


def _moved(view: View, order: Ints, own: Ints, chosen: Chosen) -> Ints:
    """Return the families of products that collapsed into one of another family."""
    families = view.table.families(order)
    into = np.full(len(order), -1)
    into[chosen.kept] = chosen.kept
    for kept, members in chosen.members.items():
        into[members] = kept
    of_query = np.isin(families, view.table.families(own))
    elsewhere = np.where(into < 0, ~of_query, families != families[into])
    return families[elsewhere]


def _in_order(
    view: View, vectors: Vectors, owners: Ints, rows: Rows, scores: Scores, *, single: bool
) -> tuple[Ints, list[float], list[str]]:
    """Return the products of rows, nearest first, equal ones by id, each with its best row's
    similarity and photo. `scores`: by row. `single`: no product has two rows."""
    ids = view.table.ids
    order = (-scores).argsort()
    falling = scores[order]
    if True in (falling[1:] == falling[:-1]):

        def by_id(at: int) -> tuple[float, str, str]:
            row = rows[at]
            return -float(scores[at]), ids[owners[row]], vectors.key(row).row_id

        order = np.array(sorted(range(len(rows)), key=by_id), np.int64)
        falling = scores[order]
    ordered = rows[order]
    places = owners[ordered]
    if not single:
        firsts = np.sort(np.unique(places, return_index=True)[1])
        ordered, places, falling = ordered[firsts], places[firsts], falling[firsts]
    return places, falling.tolist(), vectors.image_ids(ordered.tolist())


def _firsts(vectors: Vectors) -> FirstVectors:
    async def firsts(places: Ints) -> dict[int, Floats]:
        found = ((place, vectors.first(place)) for place in places.tolist())
        return {place: vector for place, vector in found if vector is not None}

    return firsts
