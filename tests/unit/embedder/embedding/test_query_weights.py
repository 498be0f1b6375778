"""Weights of two text networks in the vector of a query."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.embedding.query_weights import SECOND_SHARE, not_english, weighted

SIZES = (3, 2)
PRODUCT = np.full(5, np.sqrt(0.5), np.float32) / np.sqrt([3, 3, 3, 2, 2]).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "language", "foreign"),
    [
        ("red wine", "", False),
        ("red wine", "en", False),
        ("red wine", "en-GB", False),
        ("Rotwein", "", False),
        ("Rotwein", "de", True),
        ("Rotwein", "de_AT", True),
        ("красное вино", "", True),
        ("红葡萄酒", "en", True),
        ("赤ワイン", "", True),
        ("iPhone 15 ケース", "", False),
        ("ケース iPhone", "", False),
        ("アイフォーン case", "", True),
        ("نبيذ", "en", True),
        ("12 / 75 cl", "", False),
        ("12", "fr", True),
        ("", "", False),
    ],
)
def test_a_query_is_not_english_by_its_letters_or_its_code(
    text: str, language: str, foreign: bool
) -> None:
    assert not_english(text, language) is foreign


def test_an_english_query_keeps_both_networks() -> None:
    found = weighted(PRODUCT, SIZES, "red wine", "")
    first, second = found[:3], found[3:]
    assert second @ second == pytest.approx(SECOND_SHARE, abs=1e-6)
    assert first @ first == pytest.approx(1 - SECOND_SHARE, abs=1e-6)


def test_another_language_uses_the_second_network_alone() -> None:
    found = weighted(PRODUCT, SIZES, "Rotwein", "de")
    assert found[:3].tolist() == [0, 0, 0]
    assert found @ found == pytest.approx(1, abs=1e-6)


@given(text=st.text(), language=st.text(max_size=20))
def test_any_query_has_a_vector_of_unit_length(text: str, language: str) -> None:
    found = weighted(PRODUCT, SIZES, text, language)
    assert found.dtype == np.float32
    assert float(found @ found) == pytest.approx(1, abs=1e-5)
