"""Near-duplicates among whole columns of products: what collapses into what.

A search compares hundreds of products, and variants by the thousand, most of which have nothing in
common; so pairs that may be alike are found all at a time, and only they are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline_rules.duplicates import CERTAIN, COLOUR, COLOUR_BITS

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

_COLOURS = np.uint64((1 << COLOUR_BITS) - 1)
_ONES = np.array([byte.bit_count() for byte in range(256)], np.uint8)
"""In how many bits a byte is 1."""
_BLOCK = 1024
"""Hashes that are compared with all others at a time: 1 MB for a thousand others."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """Which products stay and which collapse into them."""

    into: tuple[int, ...]
    """Of each product the place of the one that stands for it: its own where it stays."""

    @property
    def kept(self) -> list[int]:
        """Places of those that stay, best first."""
        return [place for place, into in enumerate(self.into) if place == into]

    def members(self) -> dict[int, list[int]]:
        """By the place of one that stays, the places of those that collapsed into it, best first;
        none = nobody did."""
        found: dict[int, list[int]] = {}
        for place, into in enumerate(self.into):
            if place != into:
                found.setdefault(into, []).append(place)
        return found


def grouped(families: Sequence[Hashable], pairs: Iterable[tuple[int, int]]) -> Grouped:
    """Products, best first, without near-duplicates of better ones, which stand for them.

    `families`: what all variants of a parent and the parent itself share, one a product. `pairs`:
    places of products that show the same picture, in any order. A product collapses into the best
    one that stays and is of its family or shows the same picture; matching is not
    transitive.
    """
    alike: dict[int, list[int]] = {}
    for one, other in pairs:
        if one != other:
            alike.setdefault(max(one, other), []).append(min(one, other))
    if not alike and len(set(families)) == len(families):
        return Grouped(tuple(range(len(families))))  # as in most answers
    first: dict[Hashable, int] = {}
    into: list[int] = []
    for place, family in enumerate(families):
        better = [other for other in alike.get(place, ()) if into[other] == other]
        if family in first:
            better.append(first[family])
        into.append(min(better, default=place))
        if not better:
            first[family] = place
    return Grouped(tuple(into))


def near_pictures(hashes: Hashes, luminance: int = CERTAIN) -> tuple[Pairs, npt.NDArray[np.uint8]]:
    """Pairs of perceptual hashes that differ in at most COLOUR bits of colour and so many bits of
    luminance; by default those that show the same picture for certain.

    `hashes`: (n,) uint64, 0 = none. Returns (pairs, 2) places, each pair once and the smaller place
    first, and (pairs,) the bits of luminance in which they differ.
    """
    held = np.flatnonzero(hashes)
    values = hashes[held]
    colours = (values & _COLOURS).astype(np.uint8)
    ones, others = [], []
    for start in range(0, len(values), _BLOCK):
        # By colour first, which sets most pairs apart and is one byte.
        near = _ONES[colours[start : start + _BLOCK, None] ^ colours[None, :]] <= COLOUR
        rows, columns = np.nonzero(near)
        rows += start
        later = columns > rows
        ones.append(rows[later])
        others.append(columns[later])
    one = np.concatenate(ones) if ones else np.zeros(0, np.int64)
    other = np.concatenate(others) if others else np.zeros(0, np.int64)
    differing = (values[one] ^ values[other]) >> np.uint64(COLOUR_BITS)
    distances = _ONES[differing.view(np.uint8).reshape(-1, 8)].sum(axis=1, dtype=np.uint8)
    alike = distances <= luminance
    pairs = np.stack([held[one[alike]], held[other[alike]]], axis=1).astype(np.int64)
    return pairs, distances[alike]
