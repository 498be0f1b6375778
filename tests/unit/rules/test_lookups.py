"""The cache of answers about texts, which threads share."""

import sys
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sightline_rules.evaluation.judging import key_of
from sightline_rules.evaluation.texts import MOST_LEAVES, Lookups
from sightline_rules.filters import Comparison, Operator

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

    def keys(thread: int) -> Iterator[Hashable]:
        for number in range(CONDITIONS):
            yield key_of(Comparison(f"attributes.k{thread}", Operator.EQUAL, str(number)))

    def keep(thread: int) -> None:
        for key in keys(thread):
            lookups.keep(key, answers)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, range(4)))
    kept = [key for thread in range(4) for key in keys(thread) if (lookups.of(key, 4) == 0).all()]
    assert len(kept) == MOST_LEAVES
