"""Near-duplicates among columns, compared with the rule one product at a time."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline_rules import grouping
from sightline_rules.duplicates import (
    CERTAIN,
    COLOUR_BITS,
    NO_HASH,
    same_picture,
)
from sightline_rules.grouping import doubtful, grouped
from tests.fakes import collapsing
from tests.fakes.collapsing import Candidate, Group
from tests.unit.rules.test_duplicates import PICTURE, flipped
from tests.unit.rules.test_picture_groups import HASHES

NO_HASHES = np.zeros(3_000, np.uint64)


def collapse(candidates: Sequence[Candidate]) -> tuple[Group, ...]:
    """Return the product's groups by the rule for single products."""
    hashes = np.array([each.image_hash for each in candidates], np.uint64)
    marked = [
        (one, other)
        for one, other in permutations(range(len(candidates)), 2)
        if set(candidates[one].marks) & set(candidates[other].marks)
    ]
    known = np.array(marked, np.int64).reshape(-1, 2)
    found = grouped([each.family for each in candidates], hashes, known)
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


def test_an_equal_hash_is_the_same_picture() -> None:
    candidates = [Candidate(name, image_hash=PICTURE) for name in "ab"]
    assert collapse(candidates) == (Group(0, ("b",)),)


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


@pytest.mark.slow
@given(CANDIDATES)
def test_columns_are_grouped_as_products_are(candidates: list[Candidate]) -> None:
    assert collapse(candidates) == collapsing.collapse(candidates)


@pytest.mark.slow
@given(CANDIDATES)
def test_what_stays_collapses_no_further(candidates: list[Candidate]) -> None:
    kept = [candidates[group.place] for group in collapse(candidates)]
    assert collapse(kept) == tuple(Group(place) for place in range(len(kept)))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare hashes in small blocks, as thousands of them are compared."""
    monkeypatch.setattr(grouping, "_BLOCK", 4)


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CANDIDATES)
def test_many_are_grouped_as_few_are(candidates: list[Candidate]) -> None:
    assert collapse(candidates) == collapsing.collapse(candidates)


@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CANDIDATES, st.integers(0, 99))
def test_what_hashes_leave_open_is_asked(candidates: list[Candidate], seed: int) -> None:
    """Check that vectors are requested only for remaining single products, and only compared for
    those without a certain match."""
    random = np.random.default_rng(seed)
    agreeing = random.random((len(candidates), len(candidates))) < 0.3
    agreeing |= agreeing.T
    hashes = np.array([each.image_hash for each in candidates], np.uint64)

    def agree(place: int, others: Sequence[int]) -> list[bool]:
        for other in others:
            one, two = int(hashes[place]), int(hashes[other])
            assert other < place
            assert same_picture(one, two, 1.0)
            assert not same_picture(one, two)
        return [bool(agreeing[place, other]) for other in others]

    found = grouped([each.family for each in candidates], hashes, agree=agree)
    expected = list[int]()
    for place, one in enumerate(candidates):
        kept = [other for other in set(expected) if expected[other] == other]
        alike = [other for other in kept if one.is_like(candidates[other])] or [
            other
            for other in kept
            if agreeing[place, other]
            and same_picture(one.image_hash, candidates[other].image_hash, 1.0)
        ]
        expected.append(min(alike, default=place))
    assert list(found.into) == expected


@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(HASHES.filter(bool), max_size=60).map(sorted))
def test_doubtful_hashes_are_those_that_vectors_decide(hashes: list[int]) -> None:
    assert doubtful(np.array(hashes, np.uint64)).tolist() == [
        any(same_picture(one, other, 1.0) and not same_picture(one, other) for other in hashes)
        for one in hashes
    ]


def test_a_pair_of_a_product_with_itself_says_nothing() -> None:
    assert grouped(["a", "b"], NO_HASHES[:2], np.array([[1, 1]])).kept == [0, 1]


def test_thousands_of_variants_are_one_product() -> None:
    found = grouped(["a"] * 2_640 + ["b"], NO_HASHES[:2_641])
    assert found.kept == [0, 2_640]
    assert len(found.members()[0]) == 2_639


def test_thousands_with_one_picture_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the number of comparisons: 3,000 products have 4.5 million pairs."""
    compared = list[int]()
    whole = grouping.compared
    monkeypatch.setattr(
        grouping,
        "compared",
        lambda ones, others, most: (
            compared.append(len(ones) * len(others)) or whole(ones, others, most)
        ),
    )
    hashes = np.full(3_000, PICTURE, np.uint64)
    hashes[2_000:2_500] = flipped(CERTAIN)
    hashes[-1] = ~np.uint64(PICTURE)
    found = grouped(range(3_000), hashes)
    assert found.kept == [0, 2_999]
    assert len(found.members()[0]) == 2_998
    assert sum(compared) < 20


@pytest.mark.parametrize("seed", range(20))
def test_a_few_products_are_grouped_one_by_one_as_all_at_once(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(40):
        count = int(random.integers(1, 9))
        families = random.integers(0, 8, count).tolist()
        flipped = [int(bits) for bits in random.integers(0, 1 << 14, count)]
        hashes = [(0x5A5A << 30) ^ bits if random.random() < 0.8 else 0 for bits in flipped]
        values = np.array(hashes, np.uint64)
        found = grouping.grouped_by_hashes(families, hashes)
        asked = list[int]()

        def agree(one: int, others: Sequence[int], asked: list[int] = asked) -> list[bool]:
            asked.append(one)
            return [True] * len(others)

        expected = grouping.grouped(families, values, agree=agree).into
        if found is None:
            assert asked
        else:
            assert tuple(found) == expected
