"""The estimate of recall from a subset: its value, its interval, its window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.domain.recall import (
    MOST_ROWS,
    WINDOW_SECONDS,
    FilterClass,
    Look,
    Recall,
    Window,
    pooled,
)


def look(found: int, expected: int, *, start: int = 0, time: float = 0.0, k: int = 10) -> Look:
    return Look(tuple(range(start, start + expected)), found, k, time)


def known(looks: list[Look]) -> Recall:
    found = pooled(looks)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("share", "name"),
    [
        (1.0, "none"),
        (0.99, "wide"),
        (0.2, "wide"),
        (0.19, "middle"),
        (0.01, "middle"),
        (0.009, "narrow"),
        (0.0, "narrow"),
    ],
)
def test_classes_of_filters(share: float, name: str) -> None:
    assert FilterClass.of(share).value == name


def test_the_estimate_is_the_share_of_expected_rows_that_were_found() -> None:
    found = known([look(9, 10), look(0, 0), look(3, 5, start=10, k=50)])
    assert (found.value, found.looks, found.rows) == (0.8, 3, 15)
    assert found.k == 10
    assert 0 < found.lower < 0.8 < found.upper < 1
    assert pooled([look(0, 0)] * 50) is None, "no row of the subset was near"
    assert pooled([]) is None


def test_a_row_that_every_search_misses_is_one_observation() -> None:
    same = known([look(0, 1)] * 500)
    others = known([look(0, 1, start=number) for number in range(500)])
    assert same.upper > 0.7
    assert others.upper < 0.01


def test_searches_that_differ_say_less_than_rows_that_do() -> None:
    even = [look(9, 10, start=10 * number) for number in range(50)]
    uneven = [look(10 if number % 10 else 0, 10, start=10 * number, time=0) for number in range(50)]
    assert known(even).value == known(uneven).value == 0.9
    assert known(uneven).upper - known(uneven).lower > 2 * (known(even).upper - known(even).lower)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_the_interval_holds_the_estimate_and_stays_between_0_and_1(
    pairs: list[tuple[int, int]],
) -> None:
    looks = [look(min(pair), max(pair), start=9 * place) for place, pair in enumerate(pairs)]
    found = pooled(looks)
    if found is not None:
        assert 0 <= found.lower <= found.value <= found.upper <= 1


@pytest.mark.full
def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Lose rows of the index, and search over a subset of them: 95%, less random variation."""
    random, held = np.random.default_rng(3), 0
    for _ in range(300):
        lost = random.random(400) < 0.1
        looks = []
        for _ in range(60):
            rows = random.choice(400, size=random.integers(0, 8), replace=False)
            looks.append(Look(tuple(map(int, rows)), int((~lost[rows]).sum()), 10, 0.0))
        found = known(looks)
        held += found.lower <= 0.9 <= found.upper
    assert held >= 0.92 * 300


def test_a_window_keeps_what_is_new_and_not_too_much() -> None:
    window = Window()
    window.add(look(1, 10, time=0.0))
    window.add(look(9, 10, time=WINDOW_SECONDS))
    assert window.rows == 20
    window.add(look(9, 10, time=WINDOW_SECONDS + 1))
    assert [each.found for each in window.looks] == [9, 9]
    for _ in range(MOST_ROWS // 50):
        window.add(look(50, 50, time=WINDOW_SECONDS + 2))
    assert window.rows <= MOST_ROWS
    assert window.rows == sum(len(each.expected) for each in window.looks)
