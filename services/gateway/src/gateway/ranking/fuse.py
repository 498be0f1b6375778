"""Fusion of the lists of several branches into one order. Pure.

Reciprocal-rank fusion (Cormack, Clarke, Büttcher 2009, SIGIR): a product's score is the sum over
its lists of weight / (60 + rank in the list). Only ranks count, so lists with incomparable scores
can be fused. A single list keeps its order exactly.

The list of a negative signal adds no product. Similarities of its products in the same branch are
reduced by their similarity to the negative signal, as far as it exceeds that of the list's last
product, the lowest that the search returned. A product in no positive list of the branch, and any
product found by negative words, is reduced by its rank in the negative list, by as much as a
positive list would have added.

All data are columns as plain lists: NumPy takes a quarter longer for several lists of 100 to 200
candidates (2026-11). No function is called for a single candidate, and a list that is the only one,
as in most answers, is fused without a step for each.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import count, repeat

import numpy as np
import numpy.typing as npt

from gateway.model.query import FIRST_ANCHOR, FIRST_GROUP
from sightline_core.branch import (
    BITS,
    BY_WORDS,
    COSINE_BRANCHES,
    SCORED,
    SIMILARITY_BRANCHES,
    Branch,
)
from sightline_core.candidates import (
    NOTHING_LESS,
    CandidateList,
    Contributions,
    FusedCandidates,
    falling,
)
from sightline_core.columns import NO_PRODUCTS, ProductColumns, gathered

K = 60
"""The constant of the paper."""

_Column = npt.NDArray[np.float64]
"""A number for each candidate."""


def _totals(listings: Sequence[CandidateList]) -> Mapping[Branch, float]:
    """Return the divisor of each branch's weights: the sum over its positive signals, else over all
    signals, else 1."""
    totals, signals = dict[Branch, float](), 0.0
    for item in listings:
        branch, weight = item.branch, 0.0 if item.negative else item.weight
        totals[branch] = totals[branch] + weight if branch in totals else weight
        if branch in SIMILARITY_BRANCHES:
            signals += weight
    for branch, mine in totals.items():
        totals[branch] = mine or signals or 1.0
    return totals


def _weight(
    item: CandidateList, totals: Mapping[Branch, float], weights: Mapping[Branch, float] | None
) -> float:
    """Return the weight of a list; that of a branch without one is 1."""
    if weights is None:
        return item.weight
    return item.weight * (weights.get(item.branch, 1.0) / totals[item.branch])


def fuse(
    listings: Sequence[CandidateList],
    left_out: Sequence[str],
    most: int,
    weights: Mapping[Branch, float] | None = None,
) -> FusedCandidates:
    """Return the `most` best products of all listings, without excluded ones.

    `weights`: that of each branch, over all its positive signals: a branch has the same influence
    for any number of signals. None: each list counts by its own weight. Equal scores are ordered by
    product id.
    """
    wanted = [item for item in listings if not item.negative]
    places, columns = _table(wanted, left_out)
    totals = _totals(listings)
    if len(listings) == 1 and columns is listings[0].columns:
        votes = _alone(listings[0], _weight(listings[0], totals, weights), totals)
    else:
        votes = _votes(listings, wanted, places, totals, weights)
    fused, branches, nearest, image_ids, similarities = votes
    order = falling(fused, columns.product_ids)
    candidates = FusedCandidates(
        columns=columns,
        fused=fused,
        order=order,
        branches=branches,
        nearest=nearest,
        image_ids=image_ids,
        similarities=similarities,
        own=_own(listings),
        same_pictures=_same_pictures(listings, places),
    )
    return candidates if len(places) <= most else candidates.picked(sorted(order[:most]))


_Votes = tuple[
    Sequence[float],
    Sequence[int],
    Sequence[float | None],
    Sequence[str],
    Mapping[Branch, Sequence[float]],
]
"""By candidate: its fused score, branches, best cosine, the photo of that, and similarities."""


def _alone(item: CandidateList, weight: float, totals: Mapping[Branch, float]) -> _Votes:
    """Return what a list gives that is the only one; nothing is computed by candidate."""
    size, near, photos = len(item.columns.product_ids), item.similarities, item.image_ids
    first, rows, similarities = item.after + K + 1, item.ordered(), dict[Branch, Sequence[float]]()
    fused = (weight / np.arange(first, first + size)).tolist()
    if [*rows] != [*range(size)]:
        fused = [*map(dict(zip(rows, fused, strict=True)).__getitem__, range(size))]
    if near and item.branch in _COMPARED:
        worth = item.weight * np.array(item.worth) / totals[item.branch]
        similarities[item.branch] = (worth + 0.0).tolist()  # no -0
    if not near or item.branch not in COSINE_BRANCHES:
        near, photos = (), ()
    found: Sequence[float | None] = near or [*repeat(None, size)]
    return fused, [BITS[item.branch]] * size, found, photos or [""] * size, similarities


def _votes(
    listings: Sequence[CandidateList],
    wanted: Sequence[CandidateList],
    places: Mapping[str, int],
    totals: Mapping[Branch, float],
    weights: Mapping[Branch, float] | None,
) -> _Votes:
    """Return what all lists give."""
    size, negative = len(places), len(wanted) < len(listings)
    less = _penalties(listings, totals) if negative else {}
    fused, branches = [0.0] * size, [0] * size
    nearest: list[float | None] = [None] * size
    image_ids = [""] * size
    for item in wanted:
        at, bit = [*map(places.get, item.columns.product_ids)], BITS[item.branch]
        weight = _weight(item, totals, weights)
        rows = item.ordered(less.get(item.branch, NOTHING_LESS))
        for place, row in enumerate(rows, start=item.after + K + 1):
            if (spot := at[row]) is not None:
                fused[spot] += weight / place
                branches[spot] |= bit
        if item.similarities and item.branch in COSINE_BRANCHES:
            photos = item.image_ids or repeat("", len(at))
            for spot, near, photo in zip(at, item.similarities, photos, strict=True):
                if spot is not None and ((best := nearest[spot]) is None or near > best):
                    nearest[spot] = near
                    image_ids[spot] = photo
    if negative:
        _subtract(fused, listings, places, totals, weights)
    return fused, branches, nearest, image_ids, _by_branch(listings, totals, places)


_COMPARED = (*SCORED, Branch.GIVEN)


def _by_branch(
    listings: Sequence[CandidateList], totals: Mapping[Branch, float], places: Mapping[str, int]
) -> dict[Branch, Sequence[float]]:
    """Return for each product the weighted mean of its similarities to the branch's signals, each
    with what a photo's category adds, by branch with similarities.

    Similarities to negative signals are subtracted. If a signal's list lacks a product, the list's
    lowest similarity counts, which the product can't exceed; for a list of words, 0. NaN: in no
    list of the branch.
    """
    near = [item for item in listings if item.similarities and item.branch in _COMPARED]
    named, found = {item.branch for item in near if places}, dict[Branch, Sequence[float]]()
    for branch in _COMPARED if named else ():
        if branch in named:
            lists = [item for item in near if item.branch is branch]
            contributions, known = _contributions(lists, totals[branch], places)
            found[branch] = np.where(known, sum(contributions), math.nan).tolist()
    return found


def _own(listings: Sequence[CandidateList]) -> ProductColumns:
    """Return the query's own products, each once."""
    each = [item.own for item in listings if item.own is not None]
    if not each:
        return NO_PRODUCTS
    own = gathered([(one, range(len(one.product_ids))) for one in each]) if each[1:] else each[0]
    if len(own.product_ids) < 2:
        return own
    firsts = [row for row, item in enumerate(own.product_ids) if item not in own.product_ids[:row]]
    return gathered([(own, firsts)])


def _same_pictures(
    listings: Sequence[CandidateList], places: Mapping[str, int]
) -> list[tuple[int, int]]:
    """Return the index pairs of candidates that a search found to show the same picture."""
    return [
        (places[one], places[other])
        for item in listings
        if item.collapsed
        for one, others in zip(item.columns.product_ids, item.collapsed, strict=False)
        if others
        for other in others
        if one in places and other in places
    ]


def _table(
    wanted: Sequence[CandidateList], left_out: Sequence[str]
) -> tuple[Mapping[str, int], ProductColumns]:
    """Return the candidates' indexes by product id, in the order of the lists, and their
    columns."""
    unwanted = frozenset(left_out)
    if len(wanted) == 1 and unwanted.isdisjoint(wanted[0].columns.product_ids):
        ids = wanted[0].columns.product_ids
        places = dict(zip(ids, count()))
        if len(places) == len(ids):
            return places, wanted[0].columns
    places = {}
    blocks: list[tuple[ProductColumns, Sequence[int]]] = []
    for item in wanted:
        ids = item.columns.product_ids
        new = {own: row for row, own in enumerate(ids) if own not in places and own not in unwanted}
        places.update(zip(new, count(len(places))))
        blocks += ((item.columns, [*new.values()]),)
    return places, gathered(blocks)


def _has_cosines(listing: CandidateList) -> bool:
    return bool(listing.similarities) and listing.branch in COSINE_BRANCHES


def _penalties(
    listings: Sequence[CandidateList], totals: Mapping[Branch, float]
) -> Mapping[Branch, Mapping[str, float]]:
    """Return by branch the reductions of the products' similarities by negative signals."""
    penalties: dict[Branch, dict[str, float]] = {}
    for item in listings:
        if item.negative and _has_cosines(item):
            total, floor = totals[item.branch], _floor(item)
            found = penalties.setdefault(item.branch, {})
            for product_id, near in zip(item.ids, item.similarities, strict=True):
                taken = item.weight * (near - floor) / total
                found[product_id] = found.get(product_id, 0.0) + taken
    return penalties


def _subtract(
    fused: list[float],
    listings: Sequence[CandidateList],
    places: Mapping[str, int],
    totals: Mapping[Branch, float],
    weights: Mapping[Branch, float] | None,
) -> None:
    """Reduce scores by rank, for products that no positive list of the branch has with a cosine,
    which would be reduced instead."""
    for listing in listings:
        if not listing.negative:
            continue
        known = {
            product_id
            for item in _near(listings, listing.branch)
            if not item.negative and _has_cosines(item)
            for product_id in item.ids
        }
        weight = _weight(listing, totals, weights)
        for place, row in enumerate(listing.ordered(), start=1):
            product_id = listing.ids[row]
            if product_id in places and product_id not in known:
                fused[places[product_id]] -= weight / (K + place)


def by_signal(
    listings: Sequence[CandidateList], order: Sequence[str]
) -> Mapping[str, tuple[Contributions, ...]]:
    """Return by similarity branch and product the share of its similarity that each signal adds.

    Shares are by the signal's name; empty if the branch did not find the product or the similarity
    is 0.
    """
    found: dict[str, tuple[Contributions, ...]] = {}
    places = {product_id: place for place, product_id in enumerate(order)}
    totals = _totals(listings)
    for branch in SIMILARITY_BRANCHES:
        lists = _near(listings, branch)
        if lists and places:
            names = [_name(item) for item in lists]
            contributions, known = _contributions(lists, totals[branch], places)
            rows = zip(np.transpose(contributions).tolist(), known.tolist(), strict=True)
            found[branch] = tuple(_shares(names, row if named else ()) for row, named in rows)
    return found


def _name(listing: CandidateList) -> str:
    if listing.signal is None:
        return "signals"
    if listing.signal <= FIRST_GROUP:
        return f"history[{FIRST_GROUP - listing.signal}]"
    anchor = FIRST_ANCHOR - listing.signal
    return f"signals[{listing.signal}]" if anchor < 0 else f"anchors[{anchor}]"


def _shares(names: Sequence[str], contributions: Sequence[float]) -> Contributions:
    total = sum(contributions)
    if not total:
        return ()
    return tuple((name, value / total) for name, value in zip(names, contributions, strict=True))


def _near(listings: Sequence[CandidateList], branch: Branch) -> list[CandidateList]:
    """Return the branch's lists with similarities."""
    return [item for item in listings if item.branch is branch and len(item.similarities)]


def _floor(listing: CandidateList) -> float:
    """Return the upper bound of the similarity of products not in the list; 0 for a list of
    words."""
    return 0.0 if listing.branch in BY_WORDS else min(listing.worth)


def _contributions(
    lists: Sequence[CandidateList], total: float, places: Mapping[str, int]
) -> tuple[list[_Column], npt.NDArray[np.bool_]]:
    """Return the contribution of each of a branch's lists to each product, and whether a list has
    it."""
    known, contributions = np.zeros(len(places), np.bool_), list[_Column]()
    for item in lists:
        held = dict(zip(item.columns.product_ids, item.worth, strict=True))
        near = np.array([*map(held.get, places)], np.float64)  # NaN: not in the list
        missing = np.isnan(near)
        known |= ~missing
        floor = _floor(item) if item.negative or missing.any() else 0.0
        near[missing] = floor
        if item.negative:
            near = floor - near
        contributions += (item.weight * near / total,)
    return contributions, known
