"""Candidate lists by branch, and all candidates of a request as columns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import reduce
from itertools import count
from operator import or_
from types import MappingProxyType

from sightline_core.branch import Branch, branches_of
from sightline_core.changed import changed
from sightline_core.columns import ProductColumns, gathered
from sightline_rules.controls import Control
from sightline_rules.fast_dataclass import fast_dataclass

Contributions = tuple[tuple[str, float], ...]
"""Features of one part of a raw score: names with values, largest first."""


NOTHING_LESS: Mapping[str, float] = MappingProxyType({})


@fast_dataclass(frozen=True, slots=True)
class CandidateList:
    """The products that one signal or branch found, with their columns."""

    branch: Branch
    weight: float
    """Weight against the other lists; > 0."""
    columns: ProductColumns
    """Best first."""
    similarities: Sequence[float] = ()
    """Cosine, match of words or a recommender's score, one per product; empty if it has none of
    these."""
    image_ids: Sequence[str] = ()
    """Photo that matched best, one per product; empty if none."""
    after: int = 0
    """Number of places before its first product, for a list that continues another one."""
    collapsed: Sequence[Sequence[str]] = ()
    """Near-duplicates of each product in the list, as the search found them; empty if none."""
    own: ProductColumns | None = None
    """The product whose neighbours are listed; `None` if there is none."""
    signal: int | None = None
    """Index of the list's signal in the request; `None` if it has no signal, or several."""
    negative: bool = False
    """True if its signal is negative."""
    category_fits: Sequence[float] = ()
    """Addend of each similarity by a photo's category, 0 or less; empty: none. See
    retrieval/category_fit.py."""

    @property
    def ids(self) -> Sequence[str]:
        """The products, best first."""
        return self.columns.product_ids

    @property
    def worth(self) -> Sequence[float]:
        """Similarities by which the list is ordered and scored: with `category_fits`."""
        if not self.category_fits:
            return self.similarities
        return [near + fit for near, fit in zip(self.similarities, self.category_fits, strict=True)]

    def ordered(self, less: Mapping[str, float] = NOTHING_LESS) -> Sequence[int]:
        """Return rows by descending worth minus the product's value in `less`.

        Ties are ordered by product id; a list without similarities, and that of the request's own
        candidates, keeps its order.
        """
        ids = self.columns.product_ids
        if not self.similarities or self.branch is Branch.GIVEN:
            return range(len(ids))
        worth = self.worth if self.category_fits else self.similarities
        if less:
            worth = [near - less.get(own, 0.0) for near, own in zip(worth, ids, strict=True)]
        return falling(worth, ids)


def falling(values: Sequence[float], ids: Sequence[str]) -> list[int]:
    """Return indexes by descending value, ties by product id."""
    rows = [*range(count := len(ids))]
    if len({*values}) < count:
        rows.sort(key=ids.__getitem__)
    rows.sort(key=values.__getitem__, reverse=True)
    return rows


@fast_dataclass(frozen=True, slots=True)
class FusedCandidates:
    """The candidates as columns: entry i of every column belongs to candidate i.

    They are in the order of the lists; `order` sorts them best first.
    """

    columns: ProductColumns
    fused: Sequence[float]
    """Reciprocal-rank fusion of the branches; similarity to a negative signal lowers it."""
    order: Sequence[int]
    """Indexes of the candidates, best first by `fused`."""
    branches: Sequence[int]
    """Branches that found each candidate: bit i is the i-th Branch."""
    nearest: Sequence[float | None]
    """Best cosine similarity to the positive signals; `None` if found by none of them, or by words
    only."""
    image_ids: Sequence[str]
    """Photo of that best match; empty if none."""
    similarities: Mapping[Branch, Sequence[float]]
    """By similarity branch: weighted mean of the cosines to the positive signals, less those to the
    negative ones. By recommender: its score, 0 to 1. NaN if the branch did not find the candidate.
    """
    own: ProductColumns = field(default_factory=ProductColumns)
    """The query's own products."""
    same_pictures: Sequence[tuple[int, int]] = ()
    """Index pairs of candidates that a search found to show the same picture."""
    controls: Sequence[Control] = ()
    """Pins, boosts and burials, by index; the first takes precedence."""

    @property
    def named(self) -> tuple[Branch, ...]:
        """The branches that found a candidate."""
        return branches_of(reduce(or_, {*self.branches}, 0))

    @property
    def places(self) -> Mapping[str, int]:
        """Index by product id."""
        return dict(zip(self.columns.product_ids, count()))

    def joined(self, more: ProductColumns) -> "FusedCandidates":
        """Return the candidates followed by other products, which no branch found. The stamp stays:
        a page reads these anew."""
        count = len(more.product_ids)
        held = len(self.columns.product_ids)
        return replace(
            self,
            columns=changed(
                gathered([(self.columns, range(held)), (more, range(count))]),
                stamp=self.columns.stamp,
            ),
            fused=[*self.fused, *[0.0] * count],
            order=[*self.order, *range(held, held + count)],
            branches=[*self.branches, *[0] * count],
            nearest=[*self.nearest, *[None] * count],
            image_ids=[*self.image_ids, *[""] * count],
            similarities={
                branch: [*values, *[math.nan] * count]
                for branch, values in self.similarities.items()
            },
        )

    def picked(self, places: Sequence[int]) -> "FusedCandidates":
        """Return only the candidates at these indexes, in this order."""
        at = {place: number for number, place in enumerate(places)}
        pairs = ((at.get(one), at.get(other)) for one, other in self.same_pictures)
        return FusedCandidates(
            columns=gathered([(self.columns, places)]),
            fused=[self.fused[place] for place in places],
            order=[at[place] for place in self.order if place in at],
            branches=[self.branches[place] for place in places],
            nearest=[self.nearest[place] for place in places],
            image_ids=[self.image_ids[place] for place in places],
            similarities={
                branch: [values[place] for place in places]
                for branch, values in self.similarities.items()
            },
            own=self.own,
            same_pictures=[
                (one, other) for one, other in pairs if one is not None and other is not None
            ],
        )
