"""Near-duplicates: which pictures are one, and what collapses into what."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.duplicates import (
    CERTAIN,
    COLOUR_BITS,
    COSINE,
    LUMINANCE_BITS,
    NO_HASH,
    POSSIBLE,
    Candidate,
    Group,
    collapse,
    colour_distance,
    groups,
    luminance_distance,
    same_picture,
)

PICTURE = 0xFD22_0A9F_1C87_6333


def flipped(bits: int, *, colour: int = 0, of: int = PICTURE) -> int:
    """The hash with so many bits of luminance and of colour changed."""
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
    assert collapse([Candidate("a"), Candidate("b")]) == (Group(0), Group(1))


def test_variants_collapse_into_the_best_whether_the_parent_is_there_or_not() -> None:
    candidates = [Candidate("red", "shirt"), Candidate("hat"), Candidate("blue", "shirt")]
    assert collapse(candidates) == (Group(0, ("blue",)), Group(1))
    assert collapse([Candidate("shirt"), *candidates]) == (Group(0, ("red", "blue")), Group(2))
    assert collapse([*candidates, Candidate("shirt")]) == (Group(0, ("blue", "shirt")), Group(1))


def test_the_same_picture_collapses_into_the_best() -> None:
    candidates = [
        Candidate("a", image_hash=PICTURE),
        Candidate("b", image_hash=~PICTURE & (1 << 64) - 1),
        Candidate("c", image_hash=flipped(CERTAIN)),
        Candidate("d", image_hash=flipped(CERTAIN + 1)),
    ]
    assert collapse(candidates) == (Group(0, ("c",)), Group(1), Group(3))


def test_likeness_is_not_handed_on() -> None:
    step = 0b11 << COLOUR_BITS
    row = [
        Candidate("a", image_hash=PICTURE),
        Candidate("b", image_hash=PICTURE ^ step),
        Candidate("c", image_hash=PICTURE ^ step ^ step << 2 ^ step << 4),
    ]
    assert same_picture(row[1].image_hash, row[2].image_hash)
    assert collapse(row) == (Group(0, ("b",)), Group(2))


def test_those_with_a_mark_in_common_collapse() -> None:
    candidates = [
        Candidate("a", marks=["one"]),
        Candidate("b", marks=["two"]),
        Candidate("c", marks=["two", "one"]),
        Candidate("d", marks=["two"]),
    ]
    assert collapse(candidates) == (Group(0, ("c",)), Group(1, ("d",)))


HASHES = st.builds(
    lambda base, bits: base ^ sum({1 << bit for bit in bits}),
    st.sampled_from([PICTURE, flipped(6), flipped(30), flipped(0, colour=4)]),
    st.lists(st.integers(0, 63), max_size=4),
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.text(alphabet="abcdefgh", min_size=1, max_size=2),
        st.sampled_from(["", "", "a", "p", "q"]),
        st.one_of(st.just(NO_HASH), HASHES),
        st.lists(st.integers(0, 5), max_size=2),
    ),
    max_size=40,
    unique_by=lambda candidate: candidate.product_id,
)


def alike(one: Candidate, other: Candidate) -> bool:
    return (
        one.family == other.family
        or bool(set(one.marks) & set(other.marks))
        or same_picture(one.image_hash, other.image_hash)
    )


@given(CANDIDATES)
def test_it_keeps_the_best_and_names_every_other_once(candidates: list[Candidate]) -> None:
    """Beside the rule itself, each compared with each."""
    expected: dict[int, list[str]] = {}
    for place, candidate in enumerate(candidates):
        into = next((kept for kept in expected if alike(candidates[kept], candidate)), None)
        if into is None:
            expected[place] = []
        else:
            expected[into].append(candidate.product_id)
    groups = collapse(candidates)
    assert groups == tuple(Group(place, tuple(ids)) for place, ids in expected.items())
    named = [candidates[group.place].product_id for group in groups]
    named += [product_id for group in groups for product_id in group.collapsed]
    assert sorted(named) == sorted(candidate.product_id for candidate in candidates)


@given(CANDIDATES)
def test_what_stays_collapses_no_further(candidates: list[Candidate]) -> None:
    kept = [candidates[group.place] for group in collapse(candidates)]
    assert collapse(kept) == tuple(Group(place) for place in range(len(kept)))


def test_a_thousand_candidates_take_milliseconds() -> None:
    chance = random.Random(1)
    candidates = [
        Candidate(str(number), image_hash=chance.getrandbits(64)) for number in range(1_000)
    ]
    best = min(_seconds(candidates) for _ in range(5))
    assert best < 0.05  # 4 ms measured; comparing each with each takes 80


def _seconds(candidates: list[Candidate]) -> float:
    since = time.process_time()
    collapse(candidates)
    return time.process_time() - since


def test_groups_hand_likeness_on_and_collapse_does_not() -> None:
    """a is like b and b like c, though a and c are too far apart."""
    a, b, c = 7 << 8, (7 << 8) | (0b1111 << 20), (7 << 8) | (0b11111111 << 20)
    other = ((1 << 63) - 1) & ~0xFF
    assert same_picture(a, b)
    assert same_picture(b, c)
    assert not same_picture(a, c)
    assert groups([other, a, c, b, NO_HASH, NO_HASH]) == [0, 1, 1, 1, 4, 5]
    assert groups([]) == []
