"""Near-duplicates among columns of products: which product collapses into which.

A search compares hundreds of products, variants by the thousand, and at times thousands with one
placeholder. So hashes are compared as arrays, equal ones once, and only with those of products that
stay: the work grows with the products, not with their pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count, pairwise
from operator import eq

import numpy as np
import numpy.typing as npt

from sightline_rules.duplicates import CERTAIN, COLOUR, COLOUR_BITS, NO_HASH, POSSIBLE

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

NO_PAIRS: Pairs = np.zeros((0, 2), np.int64)
_COLOURS = np.uint64((1 << COLOUR_BITS) - 1)
_BLOCK = 256
"""Hashes that are compared with others at a time."""
MOST_COMPARED = 1024
"""Products that are compared with one another to find whether all differ: 1,024 take 1 ms."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """Which products stay and which collapse into them."""

    into: tuple[int, ...]
    """For each product the place of its representative: its own where it stays."""

    @property
    def kept(self) -> list[int]:
        """Places of the products that stay, best first."""
        return [*compress(range(len(self.into)), map(eq, self.into, count()))]

    def members(self) -> dict[int, list[int]]:
        """Return, by the place of a product that stays, the places of those that collapsed into it,
        best first; products without any are left out."""
        found: dict[int, list[int]] = {}
        for place, into in enumerate(self.into):
            if place != into:
                found.setdefault(into, []).append(place)
        return found


Agree = Callable[[int, Sequence[int]], Sequence[bool]]
"""Return whether the photo at a place shows the same picture as those at other places; called where
hashes are inconclusive."""


def grouped(
    families: Sequence[Hashable],
    hashes: Hashes,
    same_pictures: Pairs = NO_PAIRS,
    agree: Agree | None = None,
) -> Grouped:
    """Group products, given best first: near-duplicates collapse into a better one.

    `families`: one value a product, shared by all variants of a parent and the parent itself.
    `hashes`: (n,) uint64 perceptual hashes, 0 without one. `same_pictures`: (pairs, 2) places of
    products that are known to show the same picture. If `agree` is `None`, an
    inconclusive hash is another picture. A product collapses into the best one that stays and is of
    its family or has a near hash; if there is none, into the best of those that are known to show
    the same picture or agree. Matching is not transitive.
    """
    if agree is None and all_differ(families, hashes, same_pictures):
        return Grouped(tuple(range(len(families))))  # as in most answers
    known = _better_ones(same_pictures)
    stays: dict[int, int] = {}
    """By hash the only place with it that stays."""
    first: dict[Hashable, int] = {}
    into: list[int] = []
    for start in range(0, len(families), _BLOCK):
        block = hashes[start : start + _BLOCK]
        near, unsure = _like_what_may_stay(block, stays, with_unsure=agree is not None)
        of_block = zip(families[start : start + _BLOCK], block.tolist(), strict=True)
        for place, (family, image_hash) in enumerate(of_block, start):
            better = [first[family]] if family in first else []
            if image_hash in near:
                better += _staying(near[image_hash], stays)
            elif image_hash in stays:
                better.append(stays[image_hash])
            if not better and place in known:
                better += [each for each in known[place].tolist() if into[each] == each]
            if not better and agree and image_hash in unsure:
                others = _staying(unsure[image_hash], stays)
                better += compress(others, agree(place, others))
            into.append(min(better, default=place))
            if not better:
                first[family] = place
                if image_hash != NO_HASH:
                    stays[image_hash] = place
    return Grouped(tuple(into))


def grouped_by_hashes(families: Sequence[Hashable], hashes: Sequence[int]) -> list[int] | None:
    """Group a few products as `grouped` does, one by one; None if vectors have to decide.

    Return for each its representative.
    """
    into, stays, first = list[int](), list[int](), dict[Hashable, int]()
    colours = (1 << COLOUR_BITS) - 1
    for place, family in enumerate(families):
        better = [first[family]] if family in first else []
        unsure = False
        for other in stays if hashes[place] != NO_HASH else ():
            differing = hashes[place] ^ hashes[other]
            if hashes[other] == NO_HASH or (differing & colours).bit_count() > COLOUR:
                continue
            bits = (differing >> COLOUR_BITS).bit_count()
            if bits <= CERTAIN:
                better += [other]
            unsure = unsure or CERTAIN < bits <= POSSIBLE
        if unsure and not better:
            return None
        into += [min(better) if better else place]
        if not better:
            stays += [place]
            first[family] = place
    return into


def _staying(hashes: Sequence[int], stays: Mapping[int, int]) -> list[int]:
    return [stays[each] for each in hashes if each in stays]


def all_differ(families: Sequence[Hashable], hashes: Hashes, same_pictures: Pairs) -> bool:
    """Return whether a few products have nothing in common; False for many, as that would be
    expensive."""
    count = len(families)
    if count < 2:
        return True
    if same_pictures.size or count > MOST_COMPARED or len(set(families)) < count:
        return False
    held = hashes[hashes != NO_HASH]
    ones, _, _ = compared(held, held, CERTAIN)
    return len(ones) == len(held)  # each is near itself alone


def _better_ones(pairs: Pairs) -> dict[int, Pairs]:
    """Return the better products of known pairs, by the worse product."""
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if not len(pairs):
        return {}
    worse, better = pairs.max(axis=1), pairs.min(axis=1)
    order = np.argsort(worse, kind="stable")
    places, starts = np.unique(worse[order], return_index=True)
    return dict(zip(places.tolist(), np.split(better[order], starts[1:]), strict=True))


Like = Mapping[int, Sequence[int]]
"""Similar hashes, by hash."""


def _like_what_may_stay(
    block: Hashes, stays: Mapping[int, int], *, with_unsure: bool
) -> tuple[Like, Like]:
    """Return, by hash of a block, hashes that show the same picture, itself included, and with
    `with_unsure` those that may, among hashes that stay before the block and the block itself.

    Left out are hashes without others that show or may show the same picture, and those that stay
    before the block: no near hash comes before them.
    """
    may_stay = fresh = np.unique(block[block != NO_HASH])
    if stays:
        before = np.fromiter(stays, np.uint64, len(stays))
        fresh = np.setdiff1d(fresh, before, assume_unique=True)
        may_stay = np.concatenate([fresh, before])
    ones, others, bits = compared(fresh, may_stay, POSSIBLE if with_unsure else CERTAIN)
    names = fresh.tolist()

    def by_hash(wanted: npt.NDArray[np.bool_], least: int) -> Like:
        like = may_stay[others[wanted]].tolist()
        edges = np.searchsorted(ones[wanted], np.arange(len(fresh) + 1)).tolist()
        parts = zip(names, pairwise(edges), strict=True)
        return {name: like[start:end] for name, (start, end) in parts if end - start >= least}

    certain = bits <= CERTAIN
    return by_hash(certain, 2), by_hash(~certain, 1) if with_unsure else {}


def doubtful(hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Return for each hash whether only vectors can tell if it shows the same picture as another
    one.

    `hashes`: (n,) uint64, distinct and none of them 0.
    """
    found = np.zeros(len(hashes), np.bool_)
    for start in range(0, len(hashes), _BLOCK):
        ones, _, bits = compared(hashes[start : start + _BLOCK], hashes, POSSIBLE)
        found[ones[bits > CERTAIN] + start] = True
    return found


def compared(ones: Hashes, others: Hashes, most: int) -> tuple[Pairs, Pairs, npt.NDArray[np.uint8]]:
    """Find pairs that differ in at most COLOUR bits of colour and `most` bits of luminance.

    Return their places in `ones`, in `others`, and the bits of luminance.
    """
    # By luminance first: colours set few pairs of photos on white apart.
    bits = np.bitwise_count((ones[:, None] ^ others) >> np.uint64(COLOUR_BITS)).ravel()
    (pairs,) = (bits <= most).nonzero()
    one, other = np.divmod(pairs, max(len(others), 1))
    near = np.bitwise_count((ones[one] ^ others[other]) & _COLOURS) <= COLOUR
    return one[near], other[near], bits[pairs[near]]
