"""The same picture under several product ids; `grouping` says what collapses into what, and
`picture_groups` what is one picture among many.

Pictures are compared by perceptual hashes, which `photos.inspect` makes: 56 bits that say which of
the lowest frequencies of the picture's luminance are strong, above 8 bits that say which side of
four thresholds its two chroma channels are on. Luminance alone would take a shirt for the same
shirt in another colour. The measurements behind the thresholds: lab/research/near-duplicates.md.

Where the vectors of two pictures are at hand, their cosine decides what the hashes leave open.
Callers that have vectors pass the cosine; the others decide by the hashes alone.
"""

from __future__ import annotations

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
