"""The classification of a photo, from a head's probabilities."""

import numpy as np
import pytest

from embedder.domain.items import CategoryGuess, Classification
from embedder.embedding.classify import classification

APPLE, PEAR, MILK = ("Fruit", "Apple"), ("Fruit", "Pear"), ("Dairy", "Milk")
CATEGORIES = [APPLE, PEAR, MILK]


def reported(*chances: float, top_k: int = 5) -> Classification:
    return classification(np.array(chances, np.float32), CATEGORIES, top_k, "v")


def test_the_likeliest_paths_come_first_and_no_more_than_were_asked_for() -> None:
    found = reported(0.2, 0.5, 0.25, 0.05, top_k=2)
    assert [guess.path for guess in found.guesses] == [PEAR, MILK]
    assert [guess.probability for guess in found.guesses] == pytest.approx([0.5, 0.25])
    assert (found.unknown_probability, found.version) == (pytest.approx(0.05), "v")
    assert not found.unknown


def test_what_is_no_category_s_is_unknown() -> None:
    assert reported(0.2, 0.2, 0.2, 0.4).unknown
    assert not reported(0.3, 0.2, 0.25, 0.25).unknown


def test_the_deepest_category_that_is_likely_is_sure() -> None:
    assert reported(0.6, 0.2, 0.1, 0.1).sure == CategoryGuess(APPLE, pytest.approx(0.6))
    assert reported(0.4, 0.35, 0.15, 0.1).sure == CategoryGuess(("Fruit",), pytest.approx(0.75))
    assert reported(0.3, 0.1, 0.4, 0.2).sure is None


def test_a_category_that_stands_above_another_one_counts_what_stands_below_it() -> None:
    chances = np.array([0.3, 0.3, 0.3, 0.1], np.float32)
    found = classification(chances, [("Fruit",), APPLE, MILK], 3, "v")
    assert found.sure == CategoryGuess(("Fruit",), pytest.approx(0.6))
    assert sum(g.probability for g in found.guesses) + found.unknown_probability <= 1 + 1e-6
