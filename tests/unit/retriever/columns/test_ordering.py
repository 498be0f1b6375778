"""Former values of columns, and ties of products with equal values."""

from __future__ import annotations

import numpy as np
import pytest

from retriever.columns import former
from retriever.columns.former import FormerValues
from retriever.columns.ordering import tie_of


def test_equal_ids_have_equal_ties_on_every_process() -> None:
    assert tie_of("100062") == 8_840_318_764_634_485_911
    assert tie_of("a") != tie_of("b")


def note(kept: FormerValues, commit: int, place: int, before: int, after: int) -> None:
    kept.note(commit, np.array([place]), np.array([[before]]), np.array([[after]]))


def test_the_value_of_a_commit_is_that_before_the_oldest_later_change() -> None:
    kept = FormerValues()
    note(kept, 5, 1, 10, 11)
    note(kept, 6, 1, 11, 12)
    note(kept, 6, 2, 20, 20)
    now = np.array([[12], [20], [30]])
    as_of = lambda commit: kept.as_of(commit, np.array([1, 2, 3]), now)[:, 0].tolist()  # noqa: E731
    assert as_of(4) == [10, 20, 30]
    assert as_of(5) == [11, 20, 30]
    assert as_of(6) == [12, 20, 30]


def test_the_oldest_changes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(former, "MOST_FORMER", 4)
    kept = FormerValues()
    for commit in range(1, 6):
        note(kept, commit, 1, commit - 1, commit)
    assert kept.as_of(0, np.array([1]), np.array([[5]])).tolist() == [[2]]
