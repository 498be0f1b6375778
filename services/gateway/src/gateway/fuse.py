"""Fuses the lists of several branches into one order. Pure.

Reciprocal-rank fusion (Cormack, Clarke, Büttcher 2009, SIGIR): a product's score is the sum over
the lists that name it of weight / (60 + its place in the list). Only places count, so lists whose
scores have nothing in common can be fused. One list alone keeps its order exactly.

A list of what is not wanted names no product. What it holds loses of its similarity to what is
wanted in the same branch, by what it has above the list's last: below that the search did not look,
and whatever lies there loses nothing. A product that nothing wanted in the branch names, and any
that has unwanted words, loses by its place in the list as much as it would have gained.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

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
    """The place in the request of the signal that it is near to; None = it is near to none, or to
    several together."""
    away: bool = False
    """Whether it is near to what is not wanted."""
    factor: float = 1.0
    """What its branch's weight makes of its own; see `weighted`."""

    def ordered(self, lost: Mapping[str, float] = MappingProxyType({})) -> list[int]:
        """Rows, best first: by falling similarity less what each product has `lost` of it, equal
        ones by product id; else as given."""
        ids = self.columns.product_ids
        rows = list(range(len(ids)))
        if self.similarities:
            rows.sort(key=lambda row: (lost.get(ids[row], 0.0) - self.similarities[row], ids[row]))
        return rows


def weighted(listings: Sequence[Listing], weights: Mapping[Branch, float]) -> tuple[Listing, ...]:
    """The listings with factors such that those of what is wanted sum to their branch's weight.

    So a branch counts the same however many signals it was given. Without a weight it counts 1.
    """
    totals = {listing.branch: _total(listings, listing.branch) for listing in listings}
    return tuple(
        replace(listing, factor=weights.get(listing.branch, 1.0) / totals[listing.branch])
        for listing in listings
    )


def _total(listings: Sequence[Listing], branch: Branch) -> float:
    """What a branch's weights are set against: those of what is wanted in it, else among all
    signals, else 1."""
    wanted = [item for item in listings if not item.away]
    mine = sum(item.weight for item in wanted if item.branch is branch)
    return mine or sum(item.weight for item in wanted if item.branch in SIMILARITY_BRANCHES) or 1.0


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
        if listing.away:
            continue
        ids, weight = listing.columns.product_ids, listing.weight * listing.factor
        lost = _lost(listings, listing.branch)
        for place, row in enumerate(listing.ordered(lost), start=listing.after + 1):
            product_id = ids[row]
            if product_id in unwanted:
                continue
            scores[product_id] = scores.get(product_id, 0.0) + weight / (K + place)
            places.setdefault(product_id, (listing, row))
            named.setdefault(product_id, set()).add(listing.branch)
            if _has_cosines(listing) and (
                product_id not in best or listing.similarities[row] > best[product_id][0]
            ):
                image_id = listing.image_ids[row] if listing.image_ids else ""
                best[product_id] = (listing.similarities[row], image_id)
    _subtract(scores, listings)
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


def _has_cosines(listing: Listing) -> bool:
    return bool(listing.similarities) and listing.branch is not Branch.KEYWORDS


def _lost(listings: Sequence[Listing], branch: Branch) -> dict[str, float]:
    """What products lose of their similarity to what is wanted in a branch."""
    total, lost = _total(listings, branch), dict[str, float]()
    for item in _near(listings, branch):
        if item.away and _has_cosines(item):
            floor = _floor(item)
            for product_id, near in zip(item.columns.product_ids, item.similarities, strict=True):
                lost[product_id] = lost.get(product_id, 0.0) + item.weight * (near - floor) / total
    return lost


def _subtract(scores: dict[str, float], listings: Sequence[Listing]) -> None:
    """Take off what products lose by places: those that no list of what is wanted in the branch
    names by a cosine, which they could lose of."""
    named: dict[Branch, set[str]] = {}
    for listing in listings:
        if not listing.away and _has_cosines(listing):
            named.setdefault(listing.branch, set()).update(listing.columns.product_ids)
    for listing in listings:
        if listing.away:
            weight, known = listing.weight * listing.factor, named.get(listing.branch, set())
            for place, row in enumerate(listing.ordered(), start=1):
                product_id = listing.columns.product_ids[row]
                if product_id in scores and product_id not in known:
                    scores[product_id] -= weight / (K + place)


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
    """For each product the weighted mean of its similarities to the branch's signals, less what it
    has of those that are not wanted.

    A signal whose list does not hold a product counts with the list's lowest similarity, as the
    product can't have more, or with 0 where it is a list of words. NaN = no list of the branch
    names it; empty = the branch has none.
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
        names = [_name(item) for item in _near(listings, branch)]
        rows = _addends(listings, branch, order)
        if rows:
            found[branch] = tuple(_shares(names, row) for row in rows)
    return found


def _name(listing: Listing) -> str:
    return "signals" if listing.signal is None else f"signals[{listing.signal}]"


def _shares(names: Sequence[str], addends: Sequence[float] | None) -> Addends:
    total = sum(addends or ())
    if not addends or not total:
        return ()
    return tuple((name, value / total) for name, value in zip(names, addends, strict=True))


def _near(listings: Sequence[Listing], branch: Branch) -> list[Listing]:
    """The branch's lists that have similarities."""
    return [item for item in listings if item.branch is branch and len(item.similarities)]


def _floor(listing: Listing) -> float:
    """What a product that the list does not name has at most; one without the words has nothing."""
    return 0.0 if listing.branch is Branch.KEYWORDS else min(listing.similarities)


def _addends(
    listings: Sequence[Listing], branch: Branch, order: Sequence[str]
) -> list[list[float] | None]:
    """Of each product what each of the branch's signals adds to its similarity; None = no list of
    the branch names it; empty = the branch has no lists."""
    lists = _near(listings, branch)
    if not lists:
        return []
    tables = [dict(zip(item.columns.product_ids, item.similarities, strict=True)) for item in lists]
    floors = [_floor(item) for item in lists]
    total = _total(listings, branch)
    return [
        [
            -item.weight * (table.get(product_id, floor) - floor) / total
            if item.away
            else item.weight * table.get(product_id, floor) / total
            for item, table, floor in zip(lists, tables, floors, strict=True)
        ]
        if any(product_id in table for table in tables)
        else None
        for product_id in order
    ]
