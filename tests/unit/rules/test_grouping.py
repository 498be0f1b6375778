"""Near-duplicates among columns, beside the same rule one product at a time."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.duplicates import (
    CERTAIN,
    COLOUR,
    COLOUR_BITS,
    NO_HASH,
    POSSIBLE,
    colour_distance,
    luminance_distance,
    same_picture,
)
from sightline_rules.grouping import grouped, near_pictures
from tests.fakes import collapsing
from tests.fakes.collapsing import Candidate, Group
from tests.unit.rules.test_duplicates import HASHES, PICTURE, flipped


def collapse(candidates: Sequence[Candidate]) -> tuple[Group, ...]:
    """The product's groups, as the rule for single products says them."""
    hashes = np.array([each.image_hash for each in candidates], np.uint64)
    pairs, _ = near_pictures(hashes)
    marked = [
        (one, other)
        for one, other in combinations(range(len(candidates)), 2)
        if set(candidates[one].marks) & set(candidates[other].marks)
    ]
    found = grouped([each.family for each in candidates], [*pairs.tolist(), *marked])
    members = found.members()
    return tuple(
        Group(place, tuple(candidates[other].product_id for other in members.get(place, ())))
        for place in found.kept
    )


def test_what_has_no_hash_is_alone() -> None:
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


def test_matching_is_not_transitive() -> None:
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


@given(CANDIDATES)
def test_columns_are_grouped_as_products_are(candidates: list[Candidate]) -> None:
    assert collapse(candidates) == collapsing.collapse(candidates)


@given(CANDIDATES)
def test_what_stays_collapses_no_further(candidates: list[Candidate]) -> None:
    kept = [candidates[group.place] for group in collapse(candidates)]
    assert collapse(kept) == tuple(Group(place) for place in range(len(kept)))


@given(st.lists(st.one_of(st.just(NO_HASH), HASHES), max_size=60))
def test_near_pictures_are_all_pairs_within_the_limits(hashes: list[int]) -> None:
    pairs, distances = near_pictures(np.array(hashes, np.uint64), POSSIBLE)
    expected = {
        (one, other): luminance_distance(hashes[one], hashes[other])
        for one, other in combinations(range(len(hashes)), 2)
        if NO_HASH not in (hashes[one], hashes[other])
        and colour_distance(hashes[one], hashes[other]) <= COLOUR
        and luminance_distance(hashes[one], hashes[other]) <= POSSIBLE
    }
    assert dict(zip(map(tuple, pairs.tolist()), distances.tolist(), strict=True)) == expected


def test_hashes_beyond_one_block_are_compared_with_all() -> None:
    """The first and the last of 3,000 show the same picture."""
    hashes = np.zeros(3_000, np.uint64)
    hashes[[0, 1_500, 2_999]] = PICTURE
    pairs, distances = near_pictures(hashes, CERTAIN)
    assert pairs.tolist() == [[0, 1_500], [0, 2_999], [1_500, 2_999]]
    assert distances.tolist() == [0, 0, 0]


def test_thousands_of_variants_are_one_product() -> None:
    found = grouped(["a"] * 2_640 + ["b"], [])
    assert found.kept == [0, 2_640]
    assert len(found.members()[0]) == 2_639
