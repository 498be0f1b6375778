"""The products of a search's answer, as columns: place, similarity and near-duplicates."""

from collections.abc import Collection, Sequence
from itertools import chain, islice
from typing import Any, Self

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.column_cache import View
from retriever.domain.generation import Generation
from retriever.domain.index_values import Collapse, Hit
from retriever.domain.vectors import Floats
from retriever.record import Record
from retriever.search.collapse import FirstVectors, choose, most_marked
from retriever.search.exact import Ordered
from retriever.search.query import MAX_TOP_K, SearchQuery
from sightline_core.columns import Stamp
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Candidates:
    """Products, nearest first. Entry i of every column speaks of the same one."""

    view: View
    places: Sequence[int]
    """In the view's table."""
    similarities: Sequence[float]
    image_ids: Sequence[str]
    """The photo that matched best. Empty if the vector is the product's own."""
    stamp: Stamp
    """Stamp of the columns from which they were chosen; later writes may have changed them."""
    collapsed: Sequence[tuple[str, ...]] = ()
    """The near-duplicates of each. Empty if none has any."""
    group_count: int = 0
    """Number of products, near-duplicates counted as one; up to top_k of them are here."""

    @property
    def product_ids(self) -> list[str]:
        """Their ids."""
        ids = self.view.table.ids
        return [ids[place] for place in self.places]

    @classmethod
    def none(cls, view: View) -> Self:
        """Return an empty result."""
        return cls(view, (), (), (), view.table.stamped)

    @classmethod
    def of(cls, found: Ordered, top_k: int, collapse: Collapse) -> Self:
        """Return the first `top_k` of an order; with Collapse.MARK also their nearest
        near-duplicates."""
        chosen = found.chosen
        shown = kept = chosen.kept[:top_k]
        names, places = list[tuple[str, ...]](), found.places.tolist()
        columns: tuple[Sequence[Any], ...] = places, found.similarities, found.image_ids
        if collapse is not Collapse.OFF and chosen.members:
            into = [each for each in kept if each in chosen.members]
            some = _fairly([chosen.members[each] for each in into], MAX_TOP_K, len(kept))
            if collapse is Collapse.MARK:
                marked = sorted(chain.from_iterable(some))
                room = min(most_marked(top_k), MAX_TOP_K - len(kept))
                shown = sorted([*kept, *islice(marked, room)])
            members, ids = dict(zip(into, some, strict=True)), found.view.table.ids
            names = [tuple([ids[places[row]] for row in members.get(each, ())]) for each in shown]
        at, near, photos = ([*map(column.__getitem__, shown)] for column in columns)
        beside = names if any(names) else ()
        return cls(found.view, at, near, photos, found.stamp, beside, len(chosen.kept))


def _fairly(groups: Sequence[Sequence[int]], most: int, among: int) -> list[list[int]]:
    """Cut the groups to the same length, so that they hold at most `most` products in all.

    `among`: number of groups, empty ones included.
    """
    if sum(map(len, groups)) <= most:
        return [list(group) for group in groups]
    each = max(1, most // max(1, among))
    return [list(group[:each]) for group in groups]


async def first_of_each(
    view: View,
    hits: Sequence[Hit],
    asked: SearchQuery,
    left_out: Collection[str],
    own: Ints,
    *,
    record: Record,
    generation: Generation,
) -> Ordered:
    """Return the products of an engine's hits, each by its nearest one, if the product passes now.

    Hits of removed photos or deleted products are ignored.
    """
    stamp, places = view.table.stamped, view.table.places([hit.product_id for hit in hits])
    passing = (places >= 0) & await view.conditions.passing(asked.condition, places)
    counted = np.flatnonzero(passing).tolist()
    ids = {hits[row].product_id for row in counted}.difference(left_out)
    photos = await record.image_ids(asked.catalog_id, sorted(ids)) if ids else {}
    rows, seen = list[int](), set[str]()
    for row in counted:
        hit = hits[row]
        if hit.product_id not in ids or hit.product_id in seen:
            continue
        # A row of a space that has one vector a product names no photo.
        if not hit.image_id or hit.image_id in photos.get(hit.product_id, ()):
            seen.add(hit.product_id)
            rows.append(row)
    order = places[rows] if rows else view.table.places([])
    firsts = None if asked.collapse is Collapse.OFF else recorded_vectors(view, record, generation)
    return Ordered(
        view,
        order,
        [hits[row].similarity for row in rows],
        [hits[row].image_id for row in rows],
        await choose(view.table, order, own, asked.top_k, firsts),
        len(hits),
        stamp,
    )


def recorded_vectors(view: View, record: Record, generation: Generation | None) -> FirstVectors:
    """Return vectors of first photos, read from the record.

    `generation`: whose vectors are compared; None: only hashes are compared.
    """

    async def firsts(places: Ints) -> dict[int, Floats]:
        if generation is None:
            return {}
        ids = {view.table.ids[place]: place for place in places.tolist()}
        found = await record.first_vectors(generation, sorted(ids))
        return {ids[product_id]: vector for product_id, vector in found.items()}

    return firsts
