"""Pinned, boosted and buried products get the right places, and other products keep their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.controls import Control, ControlKind, acting, apply_boosts, apply_pins, seats


def pin(place: int, *rows: int) -> Control:
    return Control(f"pin-{place}-{rows}", ControlKind.PIN, rows, place=place)


def boost(amount: float, *rows: int) -> Control:
    return Control(f"boost-{amount}-{rows}", ControlKind.BOOST, rows, boost=amount)


def bury(*rows: int) -> Control:
    return Control(f"bury-{rows}", ControlKind.BURY, rows)


ROWS = st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True)
CONTROLS = st.lists(
    st.builds(lambda place, rows: pin(place, *rows), st.integers(1, 12), ROWS)
    | st.builds(lambda amount, rows: boost(amount, *rows), st.floats(0.01, 10), ROWS)
    | st.builds(lambda rows: bury(*rows), ROWS),
    max_size=6,
)
ORDERS = st.lists(st.integers(0, 30), min_size=1, unique=True)


@given(ORDERS, CONTROLS)
def test_every_product_stays_and_the_pinned_stand_at_their_places(order, controls):
    scores = [1.0 - place / 40 for place in range(len(order))]
    line = apply_boosts(order, scores, controls)
    final = apply_pins(line.rows, controls)

    assert sorted(final) == sorted(line.rows) == sorted(order)
    taken = seats(controls, frozenset(order))
    unpinned = len(order) - len(taken)
    for before, (place, row) in enumerate(taken.items()):
        assert final.index(row) + 1 == min(place, unpinned + before + 1)
    assert list(line.rows[: line.pinned]) == list(taken.values())
    free = line.scores[line.pinned : line.pinned + line.free]
    assert list(free) == sorted(free, reverse=True)


@given(ORDERS, CONTROLS)
def test_who_is_neither_pinned_nor_boosted_nor_buried_keeps_the_order_among_themselves(
    order, controls
):
    line = apply_boosts(order, [float(-place) for place in range(len(order))], controls)
    touched = {row for control in controls for row in control.rows}
    final = apply_pins(line.rows, controls)
    assert [row for row in final if row not in touched] == [
        row for row in order if row not in touched
    ]


def test_a_boost_is_worth_a_share_of_what_lies_between_best_and_least():
    order, scores = [0, 1, 2, 3], [10.0, 8.0, 4.0, 2.0]
    assert apply_boosts(order, scores, [boost(0.5, 3)]).rows == [0, 1, 3, 2]
    line = apply_boosts(order, scores, [boost(0.5, 3), boost(0.51, 3), boost(0.01, 1)])
    assert line.rows == [3, 0, 1, 2]
    assert line.raised == {3}
    assert line.scores[0] == pytest.approx(2 + 1.01 * 8)
    # Pinned products do not affect the scale of scores.
    assert apply_boosts([0, 1, 2, 9], [1.0, 0.9, 0.8, 0.0], [pin(1, 9), boost(0.6, 2)]).rows == [
        *(9, 0, 2, 1)
    ]
    assert apply_boosts([0, 1], [1.0, 1.0], [boost(0.1, 1)]).rows == [1, 0]


def test_the_first_control_gets_the_place_and_the_product():
    assert seats([pin(2, 5, 6), pin(2, 7), pin(9, 5)], {5, 6, 7}) == {2: 5, 3: 6, 4: 7}
    assert seats([pin(2, 5, 6)], {6}) == {2: 6}
    assert apply_pins([1, 2, 5, 6, 7], [pin(2, 5, 6), pin(2, 7)]) == [1, 5, 6, 7, 2]
    assert apply_pins([1, 5], [pin(100, 5)]) == [1, 5]


def test_pinned_beats_buried_and_buried_beats_boosted():
    line = apply_boosts([0, 1, 2], [3.0, 2.0, 1.0], [bury(0, 2), boost(10, 2), pin(1, 0)])
    assert (line.rows, line.pinned, line.free) == ([0, 1, 2], 1, 1)


def test_a_control_acts_when_it_pinned_or_raised_what_is_shown():
    controls = [pin(1, 4), boost(1, 5), boost(2, 6), bury(7)]
    assert acting(controls, [4, 5, 6, 7], {6}) == ("pin-1-(4,)", "boost-2-(6,)")
    assert acting(controls, [5], {6}) == ()
