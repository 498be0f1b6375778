"""Groups of the same picture among many."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules import picture_groups
from sightline_rules.duplicates import (
    CERTAIN,
    COLOUR_BITS,
    LUMINANCE_BITS,
    NO_HASH,
    same_picture,
)
from sightline_rules.picture_groups import FEW, groups
from tests.work import assert_grows_evenly

PICTURE = 0xFD22_0A9F_1C87_6333


def compared(hashes: Sequence[int]) -> list[int]:
    """Return the groups by comparing all pairs."""
    first = list(range(len(hashes)))
    for one, left in enumerate(hashes):
        for other in range(one):
            if same_picture(left, hashes[other]):
                kept, gone = sorted((first[one], first[other]))
                first = [kept if each == gone else each for each in first]
    return first


def near(base: int, bits: Sequence[int]) -> int:
    return base ^ sum({1 << bit for bit in bits})


HASHES = st.builds(
    near,
    st.sampled_from([PICTURE, PICTURE ^ 0x3F << 20, PICTURE ^ 0xF0, 1 << 8, NO_HASH]),
    st.lists(st.integers(0, 63), max_size=5),
)


@given(st.lists(HASHES, max_size=40), st.sampled_from([1, 3, 256]))
def test_groups_are_those_of_all_pairs(hashes: list[int], few: int) -> None:
    held, picture_groups.FEW = picture_groups.FEW, few
    try:
        assert groups(hashes) == compared(hashes)
    finally:
        picture_groups.FEW = held


def test_matching_is_transitive_in_groups() -> None:
    """Check that a like b and b like c form one group, though a and c are too different."""
    a, b, c = 7 << 8, (7 << 8) | (0b1111 << 20), (7 << 8) | (0b11111111 << 20)
    other = ((1 << 63) - 1) & ~0xFF
    assert same_picture(a, b)
    assert same_picture(b, c)
    assert not same_picture(a, c)
    assert groups([other, a, c, b, NO_HASH, NO_HASH]) == [0, 1, 1, 1, 4, 5]
    assert groups([]) == []


def drawn(count: int, bits: int) -> list[int]:
    """Return hashes that vary in the last bits of luminance."""
    draw = random.Random(count)
    return [PICTURE ^ (draw.getrandbits(bits) << COLOUR_BITS) for _ in range(count)]


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda count: [PICTURE] * count, id="equal"),
        pytest.param(lambda count: drawn(count, LUMINANCE_BITS), id="random"),
    ],
)
def test_the_work_grows_as_the_number_of_pictures(made: Callable[[int], list[int]]) -> None:
    assert_grows_evenly(groups, made, 20_000)


@pytest.mark.full
@pytest.mark.parametrize("bits", [30, 40])
def test_a_picture_among_others_alike_is_compared_with_few(
    monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    """Count the pairs: up to FEW by each part, which the time for some thousands does not show."""
    pairs, same = 0, picture_groups._same

    def counted(one: Any, other: Any) -> Any:
        nonlocal pairs
        pairs += len(one)
        return same(one, other)

    monkeypatch.setattr(picture_groups, "_same", counted)
    groups(drawn(20_000, bits))
    assert pairs <= (CERTAIN + 1) * FEW / 2 * 20_000
