"""The methods of the bench of exposure, and the lists that they are measured on."""

import random

import numpy as np
import pytest

from lab.cases.exposure import ALPHA, LISTED, LongTail, fair_minimum, measured, rejected
from ranker.learning.evaluation.histories import Histories
from ranker.learning.evaluation.splits import Task


def test_the_share_of_rejected_lists_is_that_of_the_authors_program() -> None:
    # The example of fairsearchcore 1.0.4, p = .25: 20 places with the correction, and 19 without.
    assert rejected([0] * 8 + [1] * 7 + [2] * 5, 0.25) == pytest.approx(0.10515247355215251)
    assert rejected([0] * 8 + [1] * 6 + [2] * 5, 0.25) == pytest.approx(0.11517506930977106)


@pytest.mark.parametrize("target", [0.05, 0.1, 0.2, 0.3, 0.5, 0.8])
def test_fair_lists_are_rejected_at_most_as_often_as_alpha_says(target: float) -> None:
    least, draw, samples = fair_minimum(target), random.Random(2), 4_000
    rejected = 0
    for _ in range(samples):
        taken = np.cumsum([draw.random() < target for _ in range(LISTED)])
        rejected += bool((taken < least).any())
    assert rejected / samples <= ALPHA + 0.015


def test_the_minimum_is_corrected_for_the_tests_of_all_prefixes() -> None:
    # Without the correction: 0 0 0 1 1 1 2 2 3 3, which rejects 13% of the lists.
    assert fair_minimum(0.5) == [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]
    for small in (0.05, 0.1, 0.2):
        assert fair_minimum(small) == [0] * LISTED, "lists of ten without one are likely enough"


def histories(items: np.ndarray, shoppers: int = 0) -> Histories:
    """Return one liked film for each shopper, or none for any."""
    count, starts = len(items) or shoppers, np.arange(len(items) + 1)
    return Histories(
        tuple(str(n) for n in range(count)),
        starts if len(items) else np.zeros(count + 1, np.int64),
        items,
        np.zeros(len(items), bool),
        np.zeros(len(items), np.int64),
    )


def lists(count: int) -> LongTail:
    films = 2 * LISTED
    wanted = histories(np.zeros(count, np.int64))
    task = Task(histories(np.zeros(0, np.int64), count), wanted, np.ones(films, bool))
    scores = np.arange(films, 0, -1, dtype=np.float64)
    return LongTail(
        task, [(np.arange(films), scores + n) for n in range(count)], np.arange(films) > 0
    )


def test_no_list_is_measured_that_its_method_has_seen() -> None:
    data, runs = lists(20), list[list[int]]()

    def method():
        seen = list[int]()
        runs.append(seen)

        def arrange(rows, scores, tail):
            seen.append(int(scores[-1]) - 1)
            # The film outside the tail is first in the lists that are measured, and last before.
            return rows if len(seen) > 10 else rows[::-1]

        return arrange

    found = measured(data, method)
    assert [sorted(seen) for seen in runs] == [list(range(20))] * 2, "each list once in each run"
    assert set(runs[0][10:]) == set(runs[1][:10])
    assert found.shares == pytest.approx([found.shares[0]] * 20)
    assert found.ndcg.tolist() == [1.0] * 20
