"""Bilingual dictionaries: from words of a language to English terms.

A dictionary is sorted lines of UTF-8: a headword, a tab, and its terms separated by "|", the most
usual first. Headwords are folded words (sightline_rules.words), stemmed in a language with stems
and separated by spaces; those of scripts without spaces are written without any. Terms are folded
English words. `make dictionaries` writes such files.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sightline_rules.stems import stemmer_of
from sightline_rules.words import is_unspaced, runs_of

ENGLISH = "en"
"""Language of the terms. Its own file has headwords alone, by which a query is known as English."""
LONGEST_PHRASE = 4
"""Words of a headword."""
LONGEST_RUN = 10
"""Characters of a headword without spaces."""
MOST_BYTES = 64 * 1024**2
"""Size of a file."""
_TERM = rb"[a-z0-9]+(?: [a-z0-9]+){0,2}"
_ROW = re.compile(rb"([^\t\n\r|]+)\t(?:%b(?:\|%b){0,7})?\n" % (_TERM, _TERM))
"""A headword and at most 8 terms of at most 3 words, as `make dictionaries` writes them."""
_AGAIN = "write it again by `make dictionaries`"


class Dictionary:
    """Terms by headword, searched in the lines of a file without a copy of them."""

    def __init__(self, lines: bytes) -> None:
        """``lines``: sorted, each with a line break."""
        self._lines = lines
        self._starts = array("Q", [0] if lines else [])
        place = lines.find(b"\n") + 1
        while 0 < place < len(lines):
            self._starts.append(place)
            place = lines.find(b"\n", place) + 1

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, headword: str) -> bool:
        return self._line(headword) is not None

    def terms(self, headword: str) -> Sequence[tuple[str, ...]]:
        """Return the words of each term of a headword; empty if it is unknown."""
        line = self._line(headword)
        return [tuple(term.split(" ")) for term in line.split("|")] if line else ()

    def _line(self, headword: str) -> str | None:
        """Return the terms of a headword as they are written."""
        wanted = headword.encode()
        row = bisect_left(self._starts, wanted, key=self._headword)
        if row == len(self._starts) or self._headword(self._starts[row]) != wanted:
            return None
        start = self._starts[row] + len(wanted) + 1
        return self._lines[start : self._lines.find(b"\n", start)].decode()

    def _headword(self, start: int) -> bytes:
        return self._lines[start : self._lines.find(b"\t", start)]


def dictionary_of(lines: bytes) -> Dictionary:
    """Return the dictionary of a file. Raises ValueError for one that `make dictionaries` did not
    write whole."""
    if len(lines) > MOST_BYTES:
        raise ValueError(f"has more than {MOST_BYTES} bytes: {_AGAIN}")
    last, end = b"", 0
    for row in _ROW.finditer(lines):
        if row.start() != end:
            break
        row[1].decode()
        if row[1] < last:
            raise ValueError(f"its lines are not sorted: {_AGAIN}")
        last, end = row[1], row.end()
    if end != len(lines):
        number = lines.count(b"\n", 0, end) + 1
        raise ValueError(f"line {number} is not a headword, a tab and terms: {_AGAIN}")
    return Dictionary(lines)


@dataclass(frozen=True, slots=True)
class Dictionaries:
    """The dictionaries of an installation, by BCP 47 language without a region."""

    by_language: Mapping[str, Dictionary] = field(default_factory=dict)

    def said(self, language_code: str) -> Sequence[str]:
        """Return the language of a request's code if it has a dictionary and is not English."""
        language = language_code.partition("-")[0].casefold()
        return [language] if language != ENGLISH and language in self.by_language else []

    def guessed(self, words: Sequence[str]) -> Sequence[str]:
        """Return the languages of an alphabet that know most of the words: at least half, and more
        than English knows. None without a dictionary of English."""
        english = self.by_language.get(ENGLISH)
        if not english:
            return []
        known = {
            language: sum(each in dictionary for each in keys_of(words, language))
            for language, dictionary in self.by_language.items()
            if language != ENGLISH and stemmer_of(language)
        }
        most = max(known.values(), default=0)
        if most <= sum(word in english for word in words) or 2 * most < len(words):
            return []
        return [language for language, count in known.items() if count == most]


NO_DICTIONARIES = Dictionaries()


def keys_of(words: Sequence[str], language: str) -> list[str]:
    """Return folded words as headwords of a language have them."""
    stem = stemmer_of(language)
    return [*words] if stem is None else [stem(word) for word in words]


def headword_of(text: str, language: str) -> str:
    """Return a text as a headword of a language."""
    words = runs_of(text)
    between = "" if any(map(is_unspaced, words)) else " "
    return between.join(keys_of(words, language))


def language_of_run(run: str) -> str:
    """Return the language of a run of a script without spaces; empty if its script has several."""
    if any("\u3040" <= letter <= "\u30ff" for letter in run):
        return "ja"
    if any("\uac00" <= letter <= "\ud7af" for letter in run):
        return "ko"
    return "zh" if any("\u3400" <= letter <= "\u9fff" for letter in run) else ""


def english_forms(word: str) -> Iterator[str]:
    """Yield an English word, its plural and its singular, as far as their spelling tells."""
    yield word
    yield f"{word}s"
    yield f"{word}es"
    if word.endswith("y"):
        yield f"{word[:-1]}ies"
    if word.endswith("ies"):
        yield f"{word[:-3]}y"
    if word.endswith("s"):
        yield word[:-1]
    if word.endswith("es"):
        yield word[:-2]
