"""The same picture under several product ids; `grouping` says what collapses into what.

Pictures are compared by perceptual hashes, which `photos.inspect` makes: 56 bits that say which of
the lowest frequencies of the picture's luminance are strong, above 8 bits that say which side of
four thresholds its two chroma channels are on. Luminance alone would take a shirt for the same
shirt in another colour. The measurements behind the thresholds: docs/research/near-duplicates.md.

Where the vectors of two pictures are at hand, their cosine decides what the hashes leave open.
Callers that have vectors pass the cosine; the others decide by the hashes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

NO_HASH = 0
"""Hash of a product without a photo, of an evenly coloured photo, and of one not hashed yet."""
LUMINANCE_BITS = 56
COLOUR_BITS = 8
CERTAIN = 4
"""Bits of luminance that may differ in the same picture without regard to vectors."""
POSSIBLE = 10
"""Bits of luminance that may differ in the same picture if the vectors agree."""
COLOUR = 1
"""Bits of colour that may differ in the same picture."""
COSINE = 0.9
"""Cosine of the pictures' vectors from which on they agree."""

_COLOURS = (1 << COLOUR_BITS) - 1
_PARTS = CERTAIN + 1
"""Parts of a hash: of two hashes that differ in at most CERTAIN bits, one part at least is
equal."""
_EDGES = [COLOUR_BITS + LUMINANCE_BITS * part // _PARTS for part in range(_PARTS + 1)]
_CUTS = [(part, low, (1 << (high - low)) - 1) for part, (low, high) in enumerate(pairwise(_EDGES))]
"""Number, shift and mask of each part."""


def luminance_distance(one: int, other: int) -> int:
    """Return the number of differing bits of luminance, 0 to 56."""
    return ((one ^ other) >> COLOUR_BITS).bit_count()


def colour_distance(one: int, other: int) -> int:
    """Return the number of differing bits of colour, 0 to 8."""
    return ((one ^ other) & _COLOURS).bit_count()


def same_picture(one: int, other: int, cosine: float | None = None) -> bool:
    """Return whether two hashes show the same picture.

    `cosine`: of the two pictures' vectors, or `None` if unknown.
    """
    if NO_HASH in (one, other) or colour_distance(one, other) > COLOUR:
        return False
    distance = luminance_distance(one, other)
    if distance <= CERTAIN:
        return True
    return cosine is not None and distance <= POSSIBLE and cosine >= COSINE


def groups(hashes: Sequence[int]) -> list[int]:
    """Return for each picture the first of its group, which chains of same pictures connect.

    Unlike in `grouping`, matching is transitive: related pictures stay together, at the price of
    groups that are too large. Pictures without a hash are alone.
    """
    first = list(range(len(hashes)))
    parts: dict[tuple[int, int], list[int]] = {}
    for place, image_hash in enumerate(hashes):
        if image_hash == NO_HASH:
            continue
        for part in _parts(image_hash):
            for other in parts.setdefault(part, []):
                if same_picture(hashes[other], image_hash):
                    one, two = _root(first, other), _root(first, place)
                    first[max(one, two)] = min(one, two)
            parts[part].append(place)
    return [_root(first, place) for place in range(len(hashes))]


def _root(first: list[int], place: int) -> int:
    """Return the first picture of a group, and shorten the path to it."""
    while first[place] != place:
        first[place] = first[first[place]]
        place = first[place]
    return place


def _parts(image_hash: int) -> Iterator[tuple[int, int]]:
    return ((part, image_hash >> shift & mask) for part, shift, mask in _CUTS)
