"""Fusion one product at a time, as before columns: the reference of gateway.ranking."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.ranking.fuse import K
from sightline_core.branch import BY_WORDS, COSINE_BRANCHES, SCORED, SIMILARITY_BRANCHES, Branch
from sightline_core.candidates import CandidateList, Contributions


@dataclass(frozen=True)
class Candidate:
    """A product that branches named."""

    product_id: str
    fused: float
    branches: tuple[Branch, ...]
    similarity: float | None
    image_id: str


@dataclass(frozen=True)
class Candidates:
    """The fused candidates, best first."""

    rows: tuple[Candidate, ...]
    similarities: Mapping[Branch, tuple[float, ...]]
    own: tuple[str, ...]
    pairs: set[frozenset[str]]
    """Pairs that searches marked as the same picture."""


def ordered(listing: CandidateList, lost: Mapping[str, float]) -> list[int]:
    """Return the rows, best first."""
    ids = listing.columns.product_ids
    rows = list(range(len(ids)))
    if listing.similarities and listing.branch is not Branch.GIVEN:
        rows.sort(key=lambda row: (-(listing.worth[row] - lost.get(ids[row], 0.0)), ids[row]))
    return rows


def _total(listings: Sequence[CandidateList], branch: Branch) -> float:
    wanted = [item for item in listings if not item.negative]
    mine = sum(item.weight for item in wanted if item.branch is branch)
    return mine or sum(item.weight for item in wanted if item.branch in SIMILARITY_BRANCHES) or 1.0


def _factor(
    listings: Sequence[CandidateList], item: CandidateList, weights: Mapping[Branch, float]
) -> float:
    """Return the factor of a list's weight by that of its branch."""
    return weights.get(item.branch, 1.0) / _total(listings, item.branch)


def fuse(
    listings: Sequence[CandidateList],
    left_out: Sequence[str],
    most: int,
    weights: Mapping[Branch, float],
) -> Candidates:
    """Return the `most` best products of all listings, best first, without those left out. Equal
    scores are ordered by product id."""
    scores: dict[str, float] = {}
    named: dict[str, set[Branch]] = {}
    best: dict[str, tuple[float, str]] = {}
    unwanted = frozenset(left_out)
    for listing in listings:
        if listing.negative:
            continue
        ids = listing.columns.product_ids
        weight = listing.weight * _factor(listings, listing, weights)
        lost = _lost(listings, listing.branch)
        for place, row in enumerate(ordered(listing, lost), start=listing.after + 1):
            product_id = ids[row]
            if product_id in unwanted:
                continue
            scores[product_id] = scores.get(product_id, 0.0) + weight / (K + place)
            named.setdefault(product_id, set()).add(listing.branch)
            if _has_cosines(listing) and (
                product_id not in best or listing.similarities[row] > best[product_id][0]
            ):
                image_id = listing.image_ids[row] if listing.image_ids else ""
                best[product_id] = (listing.similarities[row], image_id)
    _subtract(scores, listings, weights)
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
            for branch in (*SCORED, Branch.GIVEN)
            if (values := _similarities(listings, branch, order))
        },
        own=tuple(
            dict.fromkeys(
                product_id
                for listing in listings
                if listing.own is not None
                for product_id in listing.own.product_ids
            )
        ),
        pairs={
            frozenset((product_id, other))
            for item in listings
            for product_id, others in zip(item.columns.product_ids, item.collapsed, strict=False)
            for other in others
        },
    )


def _has_cosines(listing: CandidateList) -> bool:
    return bool(listing.similarities) and listing.branch in COSINE_BRANCHES


def _lost(listings: Sequence[CandidateList], branch: Branch) -> dict[str, float]:
    """Return the similarity that products lose in a branch by unwanted signals."""
    total, lost = _total(listings, branch), dict[str, float]()
    for item in _near(listings, branch):
        if item.negative and _has_cosines(item):
            floor = _floor(item)
            for product_id, near in zip(item.columns.product_ids, item.similarities, strict=True):
                lost[product_id] = lost.get(product_id, 0.0) + item.weight * (near - floor) / total
    return lost


def _subtract(
    scores: dict[str, float],
    listings: Sequence[CandidateList],
    weights: Mapping[Branch, float],
) -> None:
    """Subtract the losses by places: of products that no positive list of the branch names with a
    cosine, from which a loss could be subtracted."""
    named: dict[Branch, set[str]] = {}
    for listing in listings:
        if not listing.negative and _has_cosines(listing):
            named.setdefault(listing.branch, set()).update(listing.columns.product_ids)
    for listing in listings:
        if listing.negative:
            weight = listing.weight * _factor(listings, listing, weights)
            known = named.get(listing.branch, set())
            for place, row in enumerate(ordered(listing, {}), start=1):
                product_id = listing.columns.product_ids[row]
                if product_id in scores and product_id not in known:
                    scores[product_id] -= weight / (K + place)


def _similarities(
    listings: Sequence[CandidateList], branch: Branch, order: Sequence[str]
) -> tuple[float, ...]:
    """Return for each product the weighted mean of its similarities to the branch's signals, less
    the loss by unwanted ones. For a signal whose list lacks a product, the list's lowest similarity
    counts, which is its maximum, or 0 for a list of words. NaN: no list of the branch names it;
    empty: the branch has no lists."""
    contributions = _contributions(listings, branch, order)
    if not contributions:
        return ()
    return tuple(math.nan if row is None else sum(row) for row in contributions)


def by_signal(
    listings: Sequence[CandidateList], order: Sequence[str]
) -> Mapping[str, tuple[Contributions, ...]]:
    """Return for each similarity branch and product the contribution of each signal, by the
    signal's name; none if the branch did not name the product, or if the similarity is 0."""
    found: dict[str, tuple[Contributions, ...]] = {}
    for branch in SIMILARITY_BRANCHES:
        names = [_name(item) for item in _near(listings, branch)]
        rows = _contributions(listings, branch, order)
        if rows:
            found[branch] = tuple(_shares(names, row) for row in rows)
    return found


def _name(listing: CandidateList) -> str:
    return "signals" if listing.signal is None else f"signals[{listing.signal}]"


def _shares(names: Sequence[str], contributions: Sequence[float] | None) -> Contributions:
    total = sum(contributions or ())
    if not contributions or not total:
        return ()
    return tuple((name, value / total) for name, value in zip(names, contributions, strict=True))


def _near(listings: Sequence[CandidateList], branch: Branch) -> list[CandidateList]:
    """Return the branch's lists that have similarities."""
    return [item for item in listings if item.branch is branch and len(item.similarities)]


def _floor(listing: CandidateList) -> float:
    """Return the maximum similarity of a product that the list does not name; 0 for a list of
    words."""
    return 0.0 if listing.branch in BY_WORDS else min(listing.worth)


def _contributions(
    listings: Sequence[CandidateList], branch: Branch, order: Sequence[str]
) -> list[list[float] | None]:
    """Return for each product the contribution of each of the branch's signals to its similarity.
    None: no list of the branch names it; empty: the branch has no lists."""
    lists = _near(listings, branch)
    if not lists:
        return []
    tables = [dict(zip(item.columns.product_ids, item.worth, strict=True)) for item in lists]
    floors = [_floor(item) for item in lists]
    total = _total(listings, branch)
    return [
        [
            -item.weight * (table.get(product_id, floor) - floor) / total
            if item.negative
            else item.weight * table.get(product_id, floor) / total
            for item, table, floor in zip(lists, tables, floors, strict=True)
        ]
        if any(product_id in table for table in tables)
        else None
        for product_id in order
    ]
