"""The cache of answers about texts, which threads share."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sightline_rules.evaluation.texts import MOST_LEAVES, Lookups

CONDITIONS = 2 * MOST_LEAVES


@pytest.fixture
def switching() -> Iterator[None]:
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_threads_keep_answers_of_conditions_at_the_same_time() -> None:
    lookups, answers = Lookups(), np.zeros(4, np.int8)

    def keep(thread: int) -> None:
        for number in range(CONDITIONS):
            lookups.keep((thread, number), answers)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, range(4)))
    kept = [
        (thread, number)
        for thread in range(4)
        for number in range(CONDITIONS)
        if (lookups.of((thread, number), 4) == 0).all()
    ]
    assert len(kept) == MOST_LEAVES
