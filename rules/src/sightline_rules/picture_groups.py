"""Groups of the same picture among many, which chains of same pictures connect. NumPy only.

Pictures of equal hashes are grouped first. Of two other hashes that differ in at most k bits of
luminance, one of k + 1 parts is equal (pigeonhole principle), so only hashes with an equal part are
compared; large sets of these are divided again by the bits in which they vary. The work grows with
the number of pictures, not with its square (Norouzi, Punjani, Fleet 2012, "Fast Search in Hamming
Space with Multi-Index Hashing", CVPR).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline_rules.duplicates import CERTAIN, COLOUR, COLOUR_BITS, LUMINANCE_BITS, NO_HASH

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FEW = 256
"""Hashes of which all pairs are compared."""
_LUMINANCE = ((1 << LUMINANCE_BITS) - 1) << COLOUR_BITS
_COLOURS = np.uint64((1 << COLOUR_BITS) - 1)


def groups(hashes: Sequence[int]) -> list[int]:
    """Return for each picture the first of its group, which chains of same pictures connect.

    Unlike in `grouping`, matching is transitive: related pictures stay together, at the price of
    groups that are too large. Pictures without a hash are alone.
    """
    found = np.array(hashes, np.uint64)
    unique, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    labels = np.arange(len(unique), dtype=np.int64)
    _connect(unique, np.flatnonzero(unique != NO_HASH), labels)
    firsts = np.full(len(unique), len(found), np.int64)
    np.minimum.at(firsts, labels, first)
    result = firsts[labels[inverse]]
    alone = found == NO_HASH
    result[alone] = np.flatnonzero(alone)
    return [*map(int, result)]


def _connect(hashes: Hashes, rows: Rows, labels: Rows) -> None:
    """Give the same pictures among ascending hashes the same label: the smallest of their rows."""
    some = hashes[rows]
    varying = int(np.bitwise_or.reduce(some) ^ np.bitwise_and.reduce(some)) if len(some) else 0
    masks = _parts(varying & _LUMINANCE)
    for mask in masks:
        keys = hashes[rows] & np.uint64(mask)
        order = np.argsort(keys, kind="stable")  # within a key, neighbours are alike
        ordered = rows[order]
        runs = _runs(keys[order])
        sizes = np.diff(runs)
        _compare(hashes, ordered, _run_of(sizes), labels, most=2)
        few = (sizes <= FEW) | (len(masks) == 1)
        _compare(hashes, ordered[np.repeat(few, sizes)], _run_of(sizes[few]), labels)
        for run in np.flatnonzero(~few).tolist():
            theirs = ordered[runs[run] : runs[run + 1]]
            if (labels[theirs] != labels[theirs[0]]).any():
                _connect(hashes, theirs, labels)


def _parts(bits: int) -> list[int]:
    """Divide set bits into CERTAIN + 1 masks; one without any bit, which compares all, if they are
    fewer."""
    places = [place for place in range(bits.bit_length()) if bits >> place & 1]
    if len(places) <= CERTAIN:
        return [0]
    edges = [len(places) * part // (CERTAIN + 1) for part in range(CERTAIN + 2)]
    return [sum(1 << place for place in places[low:high]) for low, high in pairwise(edges)]


def _runs(keys: Hashes) -> Rows:
    """Return where each run of equal keys begins, and the end of the last one."""
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    return np.concatenate(([0], starts, [len(keys)])).astype(np.int64)


def _run_of(sizes: Rows) -> Rows:
    return np.repeat(np.arange(len(sizes)), sizes)


def _compare(hashes: Hashes, rows: Rows, run: Rows, labels: Rows, most: int | None = None) -> None:
    """Compare each row with those that follow it in its run: the next `most`, or all of them."""
    for one, other in _pairs(run, most):
        left, right = rows[one], rows[other]
        apart = labels[left] != labels[right]
        left, right = left[apart], right[apart]
        same = _same(hashes[left], hashes[right])
        _join(left[same], right[same], labels)


def _pairs(run: Rows, most: int | None) -> Iterator[tuple[Rows, Rows]]:
    """Yield the places of all pairs within runs, by the distance of their places."""
    at, distance = np.arange(len(run), dtype=np.int64), 0
    while most is None or distance < most:
        distance += 1
        at = at[at + distance < len(run)]
        at = at[run[at] == run[at + distance]]
        if not len(at):
            return
        yield at, at + distance


def _same(one: Hashes, other: Hashes) -> Flags:
    """Return which pairs show the same picture, by their hashes alone; see `same_picture`."""
    differing = one ^ other
    luminance = np.bitwise_count(differing >> np.uint64(COLOUR_BITS))
    colour = np.bitwise_count(differing & _COLOURS)
    found: Any = (luminance <= CERTAIN) & (colour <= COLOUR)
    return found  # type: ignore[no-any-return]


def _join(one: Rows, other: Rows, labels: Rows) -> None:
    """Connect pairs: all rows that they connect get the smallest label of them."""
    while len(one):
        low, high = np.minimum(labels[one], labels[other]), np.maximum(labels[one], labels[other])
        apart = low != high
        one, other = one[apart], other[apart]
        np.minimum.at(labels, high[apart], low[apart])
        while (labels[labels] != labels).any():
            labels[:] = labels[labels]
