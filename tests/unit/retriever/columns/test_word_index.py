"""The words of products in memory."""

from __future__ import annotations

import numpy as np

from retriever.columns.word_index import WordIndex
from retriever.domain.words import Words


def places(index: WordIndex, word: str) -> list[int]:
    postings = index.asked([word])
    owners = postings.owners[postings.found[word][0]]
    return owners[owners >= 0].tolist()


def test_words_that_are_put_again_take_no_room() -> None:
    index = WordIndex()
    for _ in range(10_000):
        index.put(3, Words("red wine", "", ""))
    assert not index.worn
    assert places(index, "red") == [3]


def test_words_that_changed_replace_the_earlier_ones() -> None:
    index = WordIndex()
    index.put(3, Words("red wine", "", ""))
    index.put(3, Words("white wine", "", ""))
    assert (places(index, "red"), places(index, "white")) == ([], [3])
    index.remove(3)
    index.put(3, Words("white wine", "", ""))
    assert places(index, "white") == [3]


def test_products_that_are_not_alive_are_forgotten() -> None:
    index = WordIndex()
    for place in range(3):
        index.put(place, Words("wine", "", ""))
    index.retain(np.array([True, False, True]))
    assert places(index, "wine") == [0, 2]
    assert len(index) == 2
