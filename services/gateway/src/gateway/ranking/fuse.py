"""Fusion of the lists of several branches into one order. Pure.

Reciprocal-rank fusion (Cormack, Clarke, Büttcher 2009, SIGIR): a product's score is the sum over
its lists of weight / (60 + rank in the list). Only ranks count, so lists with incomparable scores
can be fused. A single list keeps its order exactly.

The list of a negative signal adds no product. Similarities of its products in the same branch are
reduced by their similarity to the negative signal, as far as it exceeds that of the list's last
product, the lowest that the search returned. A product in no positive list of the branch, and any
product found by negative words, is reduced by its rank in the negative list, by as much as a
positive list would have added.

All data are columns as plain lists: NumPy takes a third longer for the 100 to 200 candidates of an
answer (2026-11).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.model.query import FIRST_ANCHOR, FIRST_GROUP
from gateway.model.scene import SCORED
from sightline_core.branch import BITS, BY_WORDS, COSINE_BRANCHES, SIMILARITY_BRANCHES, Branch
from sightline_core.candidates import CandidateList, Contributions, FusedCandidates, falling
from sightline_core.columns import ProductColumns, gathered

K = 60
"""The constant of the paper."""


def weighted(
    listings: Sequence[CandidateList], weights: Mapping[Branch, float]
) -> tuple[CandidateList, ...]:
    """Return the listings with factors that sum to the branch's weight over its positive signals.

    A branch thus has the same influence for any number of signals. The default weight is 1.
    """
    factors = {
        item.branch: weights.get(item.branch, 1.0) / _total(listings, item.branch)
        for item in listings
    }
    return tuple([replace(item, factor=factors[item.branch]) for item in listings])


def _total(listings: Sequence[CandidateList], branch: Branch) -> float:
    """Return the divisor of a branch's weights: the sum over its positive signals, else over all
    signals, else 1."""
    wanted = [item for item in listings if not item.negative]
    mine = sum(item.weight for item in wanted if item.branch is branch)
    return mine or sum(item.weight for item in wanted if item.branch in SIMILARITY_BRANCHES) or 1.0


def fuse(listings: Sequence[CandidateList], left_out: Sequence[str], most: int) -> FusedCandidates:
    """Return the `most` best products of all listings, without excluded ones.

    Equal scores are ordered by product id.
    """
    places, columns = _table(listings, left_out)
    count = len(places)
    fused, branches = [0.0] * count, [0] * count
    nearest: list[float | None] = [None] * count
    image_ids = [""] * count
    for listing in listings:
        if listing.negative:
            continue
        at, bit = _at(listing, places), BITS[listing.branch]
        weight = listing.weight * listing.factor
        rows = listing.ordered(_penalties(listings, listing.branch))
        for place, row in enumerate(rows, start=listing.after + K + 1):
            if (spot := at[row]) is not None:
                fused[spot] += weight / place
                branches[spot] |= bit
        if _has_cosines(listing):
            for row, (spot, near) in enumerate(zip(at, listing.similarities, strict=True)):
                if spot is not None and ((best := nearest[spot]) is None or near > best):
                    nearest[spot] = near
                    image_ids[spot] = listing.image_ids[row] if listing.image_ids else ""
    _subtract(fused, listings, places)
    order = falling(fused, columns.product_ids)
    candidates = FusedCandidates(
        columns=columns,
        fused=fused,
        order=order,
        branches=branches,
        nearest=nearest,
        image_ids=image_ids,
        similarities=_by_branch(listings, places),
        own=_own(listings),
        same_pictures=_same_pictures(listings, places),
    )
    return candidates if count <= most else candidates.picked(sorted(order[:most]))


def _by_branch(
    listings: Sequence[CandidateList], places: Mapping[str, int]
) -> dict[Branch, Sequence[float]]:
    """Return the candidates' similarities, by branch with similarities."""
    found = {branch: _similarities(listings, branch, places) for branch in (*SCORED, Branch.GIVEN)}
    return {branch: values for branch, values in found.items() if values}


def _own(listings: Sequence[CandidateList]) -> ProductColumns:
    """Return the query's own products, each once."""
    own = gathered([(item.own, range(len(item.own.product_ids))) for item in listings if item.own])
    firsts = [row for row, item in enumerate(own.product_ids) if item not in own.product_ids[:row]]
    return gathered([(own, firsts)])


def _same_pictures(
    listings: Sequence[CandidateList], places: Mapping[str, int]
) -> list[tuple[int, int]]:
    """Return the index pairs of candidates that a search found to show the same picture."""
    return [
        (places[one], places[other])
        for item in listings
        for one, others in zip(item.ids, item.collapsed, strict=False)
        if others
        for other in others
        if one in places and other in places
    ]


def _at(listing: CandidateList, places: Mapping[str, int]) -> list[int | None]:
    """Return the candidates' indexes of a list's products; None for products that are not
    candidates."""
    return list(map(places.get, listing.ids))


def _table(
    listings: Sequence[CandidateList], left_out: Sequence[str]
) -> tuple[Mapping[str, int], ProductColumns]:
    """Return the candidates' indexes by product id, in the order of the lists, and their
    columns."""
    places: dict[str, int] = {}
    blocks: list[tuple[ProductColumns, Sequence[int]]] = []
    unwanted = frozenset(left_out)
    for listing in listings:
        if listing.negative:
            continue
        rows: list[int] = []
        for row, product_id in enumerate(listing.ids):
            if product_id not in places and product_id not in unwanted:
                places[product_id] = len(places)
                rows.append(row)
        blocks.append((listing.columns, rows))
    return places, gathered(blocks)


def _has_cosines(listing: CandidateList) -> bool:
    return bool(listing.similarities) and listing.branch in COSINE_BRANCHES


def _penalties(listings: Sequence[CandidateList], branch: Branch) -> Mapping[str, float]:
    """Return the reductions of the products' similarities in a branch by negative signals."""
    penalties: dict[str, float] = {}
    for item in _near(listings, branch):
        if item.negative and _has_cosines(item):
            total, floor = _total(listings, branch), _floor(item)
            for product_id, near in zip(item.ids, item.similarities, strict=True):
                taken = item.weight * (near - floor) / total
                penalties[product_id] = penalties.get(product_id, 0.0) + taken
    return penalties


def _subtract(
    fused: list[float], listings: Sequence[CandidateList], places: Mapping[str, int]
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
        weight = listing.weight * listing.factor
        for place, row in enumerate(listing.ordered(), start=1):
            product_id = listing.ids[row]
            if product_id in places and product_id not in known:
                fused[places[product_id]] -= weight / (K + place)


def _similarities(
    listings: Sequence[CandidateList], branch: Branch, places: Mapping[str, int]
) -> Sequence[float]:
    """Return for each product the weighted mean of its similarities to the branch's signals, each
    with what a photo's category adds.

    Similarities to negative signals are subtracted. If a signal's list lacks a product, the list's
    lowest similarity counts, which the product can't exceed; for a list of words, 0. NaN: in no
    list of the branch; empty: the branch has no lists.
    """
    contributions, known = _contributions(listings, branch, places)
    rows = zip(zip(*contributions, strict=True), known, strict=True)
    return [sum(row) if named else math.nan for row, named in rows]


def by_signal(
    listings: Sequence[CandidateList], order: Sequence[str]
) -> Mapping[str, tuple[Contributions, ...]]:
    """Return by similarity branch and product the share of its similarity that each signal adds.

    Shares are by the signal's name; empty if the branch did not find the product or the similarity
    is 0.
    """
    found: dict[str, tuple[Contributions, ...]] = {}
    places = {product_id: place for place, product_id in enumerate(order)}
    for branch in SIMILARITY_BRANCHES:
        names = [_name(item) for item in _near(listings, branch)]
        contributions, known = _contributions(listings, branch, places)
        if contributions and places:
            rows = zip(zip(*contributions, strict=True), known, strict=True)
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
    listings: Sequence[CandidateList], branch: Branch, places: Mapping[str, int]
) -> tuple[list[list[float]], list[bool]]:
    """Return each signal's contribution to each product, and whether a list of the branch has it.

    No columns if the branch has no lists.
    """
    lists = _near(listings, branch)
    known, contributions = [False] * len(places if lists else ()), list[list[float]]()
    total = _total(listings, branch) if lists else 1.0
    for item in lists:
        floor = _floor(item)
        near = [floor] * len(places)
        for spot, similarity in zip(_at(item, places), item.worth, strict=True):
            if spot is not None:
                near[spot], known[spot] = similarity, True
        contributions.append(
            [-item.weight * (value - floor) / total for value in near]
            if item.negative
            else [item.weight * value / total for value in near]
        )
    return contributions, known
