"""Short texts found by what was typed so far, compared with a search that looks at every text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from sightline_rules.evaluation.work import finish
from sightline_rules.lexicon import MOST_COMPARED, Lexicon, edits_of
from sightline_rules.phrases import MOST_WORDS, Meaning, PhraseIndex, TypedText
from sightline_rules.stems import ALGORITHMS, stemmer_of
from sightline_rules.words import fold, word_spans, words_of

WORD = st.text("abcd", min_size=1, max_size=10)
PHRASE = st.lists(WORD, max_size=4).map(" ".join)
ENGLISH = stemmer_of("en")


def index_of(*texts: str) -> PhraseIndex:
    return finish(PhraseIndex.build((words_of(text), ()) for text in texts))


def typed(text: str) -> TypedText:
    found = TypedText.of(text)
    assert found is not None
    return found


def meaning_of(
    index: PhraseIndex, text: str, language: str = "", *, tolerant: bool = False
) -> Meaning | None:
    return index.meaning(typed(text), stemmer_of(language), tolerant=tolerant)


def rows(index: PhraseIndex, text: str, language: str = "", *, tolerant: bool = False) -> list[int]:
    meaning = meaning_of(index, text, language, tolerant=tolerant)
    if meaning is None:
        return []
    return finish(index.matching(meaning, np.ones(len(index), np.bool_))).tolist()


def distance(asked: str, word: str, *, prefix: bool) -> int:
    """Return the edits between a typed word and a word, or the likest of its beginnings."""
    ends = range(len(word) + 1) if prefix else [len(word)]
    return min(OSA.distance(asked, word[:end]) for end in ends if word[: min(end, 1)] == asked[:1])


@given(st.sets(WORD, max_size=30), WORD, st.booleans())
@example({"abdc"}, "abcd", False)
def test_near_words_are_those_of_an_independent_edit_distance(
    held: set[str], asked: str, prefix: bool
) -> None:
    words = sorted(held)
    near = {
        word: edits
        for word in words
        if word[0] == asked[0]
        and (edits := distance(asked, word, prefix=prefix)) <= edits_of(asked)
    }
    edits, ranges = Lexicon(words).near(asked, prefix=prefix)
    found = [words[place] for low, high in ranges for place in range(low, high)]
    least = min(near.values(), default=0)
    assert (edits, found) == (least, [word for word, each in near.items() if each == least])


@given(st.lists(PHRASE, max_size=12), PHRASE, st.sampled_from(["", " "]))
def test_rows_have_all_words_and_the_last_may_be_unfinished(
    texts: list[str], asked: str, end: str
) -> None:
    if not words_of(asked):
        return
    index = index_of(*texts)
    *head, last = words_of(asked)
    expected = []
    for row, text in enumerate(texts):
        held = words_of(text)
        begun = last in held if end else any(word.startswith(last) for word in held)
        if begun and all(word in held for word in head):
            expected.append(row)
    assert rows(index, asked + end) == expected


@given(st.lists(PHRASE, max_size=12), PHRASE, st.data())
def test_completions_are_counted_among_rows_that_have_the_other_words(
    texts: list[str], asked: str, data: st.DataObject
) -> None:
    alive = np.array([data.draw(st.booleans()) for _ in texts], np.bool_)
    if not words_of(asked):
        return
    index, (*head, last) = index_of(*texts), words_of(asked)
    expected = dict[str, int]()
    for text, counts in zip(texts, alive, strict=True):
        held = words_of(text)
        if counts and all(word in held for word in head):
            for word in {word for word in held if word.startswith(last)}:
                expected[word] = expected.get(word, 0) + 1
    meaning = meaning_of(index, asked)
    found = dict[str, int]()
    if meaning is not None:
        places, counted = finish(index.completions(meaning, alive))
        found = {
            index.lexicon.words[place]: count
            for place, count in zip(places.tolist(), counted.tolist(), strict=True)
        }
        for place in places.tolist():
            row = index.row_of(place, alive)
            assert alive[row]
            assert index.lexicon.words[place] in words_of(texts[row])
    assert found == expected


def test_a_word_means_the_words_of_its_stem_in_the_callers_language() -> None:
    index = index_of("Wine rack", "Wines of Chile", "Winery tour")
    assert rows(index, "wines ", "en") == rows(index, "wine ", "en-GB") == [0, 1]
    assert rows(index, "wines", "en") == [0, 1], "an unfinished word may be a whole one"
    assert rows(index, "wines ") == rows(index, "wines ", "xx") == [1]
    assert rows(index_of("Montres pour hommes"), "homme montre ", "fr") == [0]


def test_stems_of_very_many_words_are_not_compared() -> None:
    numbers = [f"wine{number:04}" for number in range(MOST_COMPARED)]
    index = index_of("wine", "wines", *numbers)
    assert rows(index, "wines ", "en") == [1]
    assert rows(index_of("wine", "wines", *numbers[:9]), "wines ", "en") == [0, 1]


def test_a_mistyped_word_is_replaced_by_the_nearest_of_most_texts() -> None:
    index = index_of("barolo red", "barolo", "barola", "chianti classico")
    assert rows(index, "barulo") == []
    assert rows(index, "barulo ", tolerant=True) == [0, 1], "of two equally near the more frequent"
    assert rows(index, "chainti clas", tolerant=True) == [3], "letters that were exchanged"
    assert rows(index, "barulo chianti", tolerant=True) == []
    assert rows(index, "xarolo", tolerant=True) == [], "the first letter is right"
    assert rows(index, "rad", tolerant=True) == [], "short words have no edits"
    meaning = meaning_of(index, "barulo re", tolerant=True)
    assert meaning is not None
    assert meaning.corrected


@pytest.mark.parametrize(
    ("text", "asked", "marked"),
    [
        ("Château Margaux", "chateau mar", ["Château", "Mar"]),
        ("Cha\u0302teau rouge", "château", ["Cha\u0302teau"]),
        ("Wines of the Rhône", "wine ", ["Wines"]),
        ("Grüße, Straße!", "strass", ["Straß"]),
        ("智利红葡萄酒", "红葡萄", ["红葡萄"]),
        ("iPhone手机壳", "手", ["手"]),
        ("Barolo", "barulo", ["Barolo"]),
        ("\U0001f377 Chianti", "chi", ["Chi"]),
    ],
)
def test_what_was_typed_is_marked_in_the_text_as_it_is_written(
    text: str, asked: str, marked: list[str]
) -> None:
    index = index_of(text)
    meaning = meaning_of(index, asked, "en", tolerant=True)
    assert meaning is not None
    marks = meaning.marks(text, index.lexicon)
    assert [text[start:end] for start, end in marks] == marked


@given(st.text(max_size=40) | st.text("aB2- ", max_size=200))
def test_words_have_places_where_their_letters_stand(text: str) -> None:
    spans = word_spans(text)
    if spans or not words_of(text):
        assert sorted(span.word for span in spans) == sorted(words_of(text))
    for span in spans:
        assert span.word[0] in fold(text[span.starts[0] : span.end])


def test_of_a_long_text_the_last_words_count() -> None:
    assert typed("no " + "yes " * MOST_WORDS).words == ("yes",) * MOST_WORDS
    assert TypedText.of(" - ") is None
    assert typed("ab").finished is False
    assert typed("ab,").finished is True


def test_further_words_find_a_text_but_are_not_in_it() -> None:
    index = finish(PhraseIndex.build([(["kallisto"], ["red", "merlot"]), (["merlot", "red"], [])]))
    meaning = meaning_of(index, "red merl")
    assert meaning is not None
    found = finish(index.matching(meaning, np.ones(2, np.bool_)))
    assert found.tolist() == [0, 1]
    assert finish(index.in_text(found, meaning)).tolist() == [False, True]
    assert index.begins(found, index.lexicon.word("kallisto")).tolist() == [True, False]


def test_every_algorithm_stems() -> None:
    assert all(stemmer_of(language) for language in ALGORITHMS)
    assert stemmer_of("") is None
    assert ENGLISH is not None
    assert ENGLISH("berries") == ENGLISH("berry")
