"""Fuses the lists of several branches into one order. Pure.

Reciprocal-rank fusion (Cormack, Clarke, Büttcher 2009, SIGIR): a product's score is the sum over
the lists that name it of weight / (60 + its place in the list). Only places count, so lists whose
scores have nothing in common can be fused. One list alone keeps its order exactly.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from gateway.collapse import marks, near_duplicates
from gateway.model import SIMILARITY_BRANCHES, Branch, Candidate, Candidates, Columns
from gateway.moving import Addends

K = 60
"""The constant of the paper."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The products that one signal or branch named, and what the record says of them."""

    branch: Branch
    weight: float
    """How much it counts against the other lists; > 0."""
    columns: Columns
    """Best first."""
    similarities: Sequence[float] = ()
    """Cosine, one a product; empty = its scores are no similarities."""
    image_ids: Sequence[str] = ()
    """The photo that matched best, one a product; empty = none."""
    after: int = 0
    """Places before its first: a list that goes on where another one ends."""
    collapsed: Sequence[Sequence[str]] = ()
    """Near-duplicates of each in the list, as a search found them; empty = none."""
    own: Columns | None = None
    """The product that the list is near to; None = there is none."""
    signal: int | None = None
    """The place in the request of the signal that it is near to; None = it is near to none."""

    def ordered(self) -> list[int]:
        """Rows, best first: by falling similarity, equal ones by product id; else as given."""
        rows = list(range(len(self.columns.product_ids)))
        if self.similarities:
            rows.sort(key=lambda row: (-self.similarities[row], self.columns.product_ids[row]))
        return rows


def weighted(listings: Sequence[Listing], weights: Mapping[Branch, float]) -> tuple[Listing, ...]:
    """The listings with weights such that those of a branch sum to the branch's own.

    So a branch counts the same however many signals it was given. Without a weight it counts 1.
    """
    totals: dict[Branch, float] = {}
    for listing in listings:
        totals[listing.branch] = totals.get(listing.branch, 0.0) + listing.weight
    return tuple(
        replace(
            listing,
            weight=listing.weight / totals[listing.branch] * weights.get(listing.branch, 1.0),
        )
        for listing in listings
    )


def fuse(listings: Sequence[Listing], left_out: Sequence[str], most: int) -> Candidates:
    """The `most` best products of all listings, best first, without those left out.

    Equal scores are ordered by product id.
    """
    scores: dict[str, float] = {}
    places: dict[str, tuple[Listing, int]] = {}
    named: dict[str, set[Branch]] = {}
    best: dict[str, tuple[float, str]] = {}
    unwanted = frozenset(left_out)
    for listing in listings:
        ids = listing.columns.product_ids
        for place, row in enumerate(listing.ordered(), start=listing.after + 1):
            product_id = ids[row]
            if product_id in unwanted:
                continue
            scores[product_id] = scores.get(product_id, 0.0) + listing.weight / (K + place)
            places.setdefault(product_id, (listing, row))
            named.setdefault(product_id, set()).add(listing.branch)
            if listing.similarities and (
                product_id not in best or listing.similarities[row] > best[product_id][0]
            ):
                image_id = listing.image_ids[row] if listing.image_ids else ""
                best[product_id] = (listing.similarities[row], image_id)
    order = sorted(scores, key=lambda item: (-scores[item], item))[:most]
    return Candidates(
        rows=tuple(
            Candidate(
                product_id=item,
                fused=scores[item],
                branches=tuple(branch for branch in Branch if branch in named[item]),
                similarity=best[item][0] if item in best else None,
                image_id=best[item][1] if item in best else "",
            )
            for item in order
        ),
        similarities={
            branch: values
            for branch in SIMILARITY_BRANCHES
            if (values := _similarities(listings, branch, order))
        },
        columns=pick([places[item] for item in order]),
        own=tuple(
            {
                item.product_id: item
                for listing in listings
                if listing.own is not None
                for item in near_duplicates(listing.own)
            }.values()
        ),
        marks=marks([(item.columns.product_ids, item.collapsed) for item in listings]),
    )


def pick(places: Sequence[tuple[Listing, int]]) -> Columns:
    """The columns of products that lie in several listings, in the order given."""
    return Columns(
        **{
            column.name: [getattr(listing.columns, column.name)[row] for listing, row in places]
            for column in fields(Columns)
        }
    )


def _similarities(
    listings: Sequence[Listing], branch: Branch, order: Sequence[str]
) -> tuple[float, ...]:
    """For each product the weighted mean of its similarities to the branch's signals.

    A signal whose list does not hold a product counts with the list's lowest similarity: the
    product can't have more. NaN = no list of the branch names it; empty = the branch has none.
    """
    addends = _addends(listings, branch, order)
    if not addends:
        return ()
    return tuple(math.nan if row is None else sum(row) for row in addends)


def by_signal(
    listings: Sequence[Listing], order: Sequence[str]
) -> Mapping[str, tuple[Addends, ...]]:
    """By similarity branch, of each product, what share of its similarity each signal adds, by the
    signal's name; none where the branch did not name it, or where the similarity is 0."""
    found: dict[str, tuple[Addends, ...]] = {}
    for branch in SIMILARITY_BRANCHES:
        names = [f"signals[{item.signal}]" for item in _near(listings, branch)]
        rows = _addends(listings, branch, order)
        if rows:
            found[branch] = tuple(_shares(names, row) for row in rows)
    return found


def _shares(names: Sequence[str], addends: Sequence[float] | None) -> Addends:
    total = sum(addends or ())
    if not addends or not total:
        return ()
    return tuple((name, value / total) for name, value in zip(names, addends, strict=True))


def _near(listings: Sequence[Listing], branch: Branch) -> list[Listing]:
    """The branch's lists that have similarities."""
    return [item for item in listings if item.branch is branch and len(item.similarities)]


def _addends(
    listings: Sequence[Listing], branch: Branch, order: Sequence[str]
) -> list[list[float] | None]:
    """Of each product what each of the branch's signals adds to its similarity; None = no list of
    the branch names it; empty = the branch has no lists."""
    lists = _near(listings, branch)
    if not lists:
        return []
    tables = [dict(zip(item.columns.product_ids, item.similarities, strict=True)) for item in lists]
    floors = [min(item.similarities) for item in lists]
    total = sum(item.weight for item in lists)
    return [
        [
            item.weight * table.get(product_id, floor) / total
            for item, table, floor in zip(lists, tables, floors, strict=True)
        ]
        if any(product_id in table for table in tables)
        else None
        for product_id in order
    ]
