"""The words of products in memory."""

from __future__ import annotations

import numpy as np

from retriever.columns.word_index import WordIndex
from retriever.domain.words import LABEL, Words
from sightline_rules.words import MOST_ASKED


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


def test_of_a_long_label_the_rarest_words_are_asked() -> None:
    index = WordIndex()
    words = [f"w{number:02}" for number in range(MOST_ASKED + 8)]
    for place in range(len(words)):  # a product has the words from its place on
        index.put(place, Words(" ".join(words[place:]), "", ""))
    assert index.of_label(words[::-1]).words == tuple(words[:MOST_ASKED])


def test_words_of_a_label_that_no_product_has_are_not_asked() -> None:
    index = WordIndex()
    index.put(3, Words("red wine", "", "", f"{LABEL}origem"))
    assert index.of_label(["merlot", "origem", "red"]).words == ("origem", "red")
    assert index.of_label(["merlot"]).words == ()


def test_a_word_of_a_label_is_looked_for_in_texts_and_on_labels() -> None:
    index = WordIndex()
    for place in range(3):
        index.put(place, Words("merlot", "", "", f"{LABEL}merlot"))
    for place in range(3, 7):
        index.put(place, Words("wine", "", "", f"{LABEL}origem"))
    asked = index.of_label(["merlot", "origem"])
    assert asked.words == ("origem", "merlot"), "4 products and labels against 6"
    assert asked.others == {word: ((LABEL + word,),) for word in ("origem", "merlot")}
