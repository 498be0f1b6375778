"""Near-duplicates: pictures that count as the same."""

import random

import pytest

from sightline_rules.duplicates import (
    CERTAIN,
    COLOUR_BITS,
    COSINE,
    LUMINANCE_BITS,
    NO_HASH,
    POSSIBLE,
    colour_distance,
    luminance_distance,
    same_picture,
)

PICTURE = 0xFD22_0A9F_1C87_6333


def flipped(bits: int, *, colour: int = 0, of: int = PICTURE) -> int:
    """Return the hash with this many changed bits of luminance and of colour."""
    for bit in random.Random(bits).sample(range(LUMINANCE_BITS), bits):
        of ^= 1 << (COLOUR_BITS + bit)
    return of ^ ((1 << colour) - 1)


def test_a_hash_holds_luminance_above_colour() -> None:
    assert luminance_distance(PICTURE, flipped(7)) == 7
    assert colour_distance(PICTURE, flipped(7)) == 0
    assert luminance_distance(PICTURE, flipped(0, colour=3)) == 0
    assert colour_distance(PICTURE, flipped(0, colour=3)) == 3


@pytest.mark.parametrize(
    ("bits", "cosine", "same"),
    [
        (CERTAIN, None, True),
        (CERTAIN, 0.5, True),
        (CERTAIN + 1, None, False),
        (CERTAIN + 1, COSINE, True),
        (POSSIBLE, COSINE, True),
        (POSSIBLE, COSINE - 0.01, False),
        (POSSIBLE + 1, 1.0, False),
    ],
)
def test_vectors_decide_what_hashes_leave_open(
    bits: int, cosine: float | None, *, same: bool
) -> None:
    assert same_picture(PICTURE, flipped(bits), cosine) is same
    assert same_picture(flipped(bits), PICTURE, cosine) is same


def test_the_same_shape_in_another_colour_is_another_picture() -> None:
    assert same_picture(PICTURE, flipped(0, colour=1))
    assert not same_picture(PICTURE, flipped(0, colour=2), 1.0)


def test_what_has_no_hash_is_the_picture_of_nothing_else() -> None:
    assert not same_picture(NO_HASH, NO_HASH, 1.0)
