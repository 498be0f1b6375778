"""Near-duplicates among columns, beside the same rule one product at a time."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.duplicates import (
    CERTAIN,
    COLOUR,
    NO_HASH,
    POSSIBLE,
    Candidate,
    Group,
    collapse,
    colour_distance,
    luminance_distance,
)
from sightline_rules.grouping import grouped, near_pictures
from tests.unit.rules.test_duplicates import CANDIDATES, HASHES, PICTURE


@given(CANDIDATES)
def test_columns_are_grouped_as_products_are(candidates: list[Candidate]) -> None:
    hashes = np.array([each.image_hash for each in candidates], np.uint64)
    pairs, _ = near_pictures(hashes)
    marked = [
        (one, other)
        for one, other in combinations(range(len(candidates)), 2)
        if set(candidates[one].marks) & set(candidates[other].marks)
    ]
    found = grouped([each.family for each in candidates], [*pairs.tolist(), *marked])
    members = found.members()
    named = tuple(
        Group(place, tuple(candidates[other].product_id for other in members.get(place, ())))
        for place in found.kept
    )
    assert named == collapse(candidates)


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
