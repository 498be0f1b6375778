"""What a query may mean at most: terms of its parts, by a dictionary."""

from __future__ import annotations

import time

import pytest

from retriever.domain.dictionaries import Dictionaries, Dictionary, english_forms
from retriever.domain.synonyms import AskedWords
from retriever.search.translations import MOST_MEANT, MOST_TERMS, translated
from sightline_rules.words import MOST_ASKED

SYLLABLES = [chr(0x4E00 + place) for place in range(128)]
"""Of 64 headwords."""
VOCABULARY = [f"w{place}" for place in range(200_000)]
"""Words of 100,000 products, as many as they may have."""


def dictionary(terms: dict[str, str]) -> Dictionary:
    lines = sorted(f"{headword}\t{each}\n".encode() for headword, each in terms.items())
    return Dictionary(b"".join(lines))


def wide(terms: int, words: int) -> Dictionaries:
    """Return a dictionary in which each pair of syllables has some terms, no two alike."""
    count = iter(VOCABULARY)
    return Dictionaries(
        {
            "zh": dictionary(
                {
                    "".join(SYLLABLES[place : place + 2]): "|".join(
                        " ".join(next(count) for _ in range(words)) for _ in range(terms)
                    )
                    for place in range(0, len(SYLLABLES), 2)
                }
            )
        }
    )


async def meant(headwords: int, dictionaries: Dictionaries) -> AskedWords:
    text = "".join(SYLLABLES[: 2 * headwords])
    asked = AskedWords.of(text, language_code="zh")
    return await translated(asked, text, {*VOCABULARY}.__contains__, dictionaries, "zh")


@pytest.mark.parametrize("headwords", [1, 3, 8, 32, 64])
@pytest.mark.parametrize("words", [1, 2, 3])
async def test_the_terms_of_a_query_are_bounded_whatever_it_asks_for(
    headwords: int, words: int
) -> None:
    asked = await meant(headwords, wide(8, words))
    assert len(asked.words) <= MOST_ASKED
    assert {*asked.others} <= {*asked.words}
    held = sum(len(term) for terms in asked.others.values() for term in terms)
    assert held <= MOST_MEANT
    assert all(asked.others.values())


async def test_a_part_has_its_first_terms() -> None:
    asked = await meant(1, wide(20, 1))
    (terms,) = asked.others.values()
    assert [*terms] == [(word,) for word in VOCABULARY[:MOST_TERMS]]
    asked = await meant(8, wide(20, 1))
    assert {len(terms) for terms in asked.others.values()} == {MOST_MEANT // 8}


async def test_forms_of_a_term_are_looked_up_no_further_than_they_are_used() -> None:
    words = [f"{letter}ss" for letter in "abcdefghijklm"]
    there = {form for word in words for form in english_forms(word)}
    dictionaries = Dictionaries({"zh": dictionary({"手套": " ".join(words)})})
    since = time.process_time()
    await translated(AskedWords.of("手套"), "手套", there.__contains__, dictionaries, "zh")
    assert time.process_time() - since < 1
