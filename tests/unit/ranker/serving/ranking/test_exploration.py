"""New products get their places, by fair and repeatable draws whose probabilities are exact."""

from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.events import DAY_MICROS
from ranker.serving.ranking.exploration import explored, seed_of, tail_chances
from tests.fakes.ranker import NOW

SEED = seed_of(7, "ann", "", NOW)


def explore(count: int, new, places, seed: bytes = SEED):
    """Explore products 0 to count − 1 in this order."""
    ids = [f"p{number}" for number in range(count)]
    marks = np.isin(np.arange(count), list(new))
    found, propensities = explored(np.arange(count), marks, places, ids, seed)
    return found.tolist(), propensities.tolist()


def test_exploration_gives_its_places_to_new_products_from_behind_them():
    first, propensities = explore(12, [0, 7, 9], (2, 4))
    assert {first[1], first[3]} == {7, 9}
    assert [one for one in first if one not in (7, 9)] == [0, 1, 2, 3, 4, 5, 6, 8, 10, 11]
    assert propensities[:4] == [1, 0.5, 1, 0.5]


def test_without_enough_new_products_only_the_first_places_are_given_away():
    assert explore(9, [8], (2, 4))[0] == [0, 8, 1, 2, 3, 4, 5, 6, 7]
    assert explore(3, [], (2,)) == ([0, 1, 2], [1, 1, 1])
    assert explore(1, [0], (2,)) == ([0], [1])
    assert explore(0, [], (2,)) == ([], [])


@pytest.mark.full
@pytest.mark.parametrize("places", [(2,), (2, 3), (3, 5, 6)])
def test_propensities_are_how_often_products_stand_where_they_stand(places):
    """Check over many seeds that the share of each (product, place) is the returned propensity."""
    rounds = 4000
    seen, reported = Counter[tuple[int, int]](), {}
    for number in range(rounds):
        found = explore(14, [1, 4, 6, 9, 12], places, seed_of(number, None, "", NOW))
        for place, (one, chance) in enumerate(zip(*found, strict=True)):
            seen[one, place] += 1
            assert reported.setdefault((one, place), chance) == pytest.approx(chance)
    for key, chance in reported.items():
        error = 4.5 * (chance * (1 - chance) / rounds) ** 0.5
        assert abs(seen[key] / rounds - chance) <= error + 1e-9, key
    # All that can happen did happen: the chances of a product's places sum to 1.
    for one in range(14):
        total = sum(chance for (other, _), chance in reported.items() if other == one)
        assert total == pytest.approx(1)


@given(st.lists(st.sampled_from(["drawn", "new", "old"]), max_size=60))
def test_the_propensity_of_a_place_in_the_tail_is_that_of_the_formula(kinds):
    tail = list(range(len(kinds)))
    chosen = frozenset(one for one in tail if kinds[one] == "drawn")
    members = frozenset(one for one in tail if kinds[one] != "old")
    ways, expected = comb(len(members), len(chosen)), []
    for place, kind in enumerate(kinds):
        if kind != "drawn":
            e = sum(one in members for one in tail[:place])
            j = sum(one in chosen for one in tail[:place])
            others = len(members) - (kind == "new") - e
            expected.append(comb(e, j) * comb(others, len(chosen) - j) / ways)
    assert tail_chances(tail, chosen, members) == expected


def test_a_draw_is_the_same_for_a_shopper_on_a_day_and_another_one_for_others():
    midnight = NOW - NOW % DAY_MICROS

    def drawn(*about) -> int:
        return explore(300, range(20, 300), (3,), seed_of(*about))[0][2]

    first = drawn(7, "ann", "visit", midnight)
    assert drawn(7, "ann", "visit", midnight + DAY_MICROS - 1) == first
    others = [
        drawn(8, "ann", "visit", midnight),
        drawn(7, "bob", "visit", midnight),
        drawn(7, None, "visit", midnight),
        drawn(7, "ann", "other", midnight),
        drawn(7, "ann", "visit", midnight + DAY_MICROS),
    ]
    assert first not in others


def test_who_is_drawn_stays_drawn_where_other_new_products_come_and_go():
    drawn = explore(50, range(30, 50), (2,))[0][1]
    assert explore(50, {drawn, *range(30, 40)}, (2,))[0][1] == drawn
