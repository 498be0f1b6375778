"""Tokenization of texts into words for keyword search and suggestions: equal on every store, for
texts and for queries.

- Letters are folded: compatibility forms (NFKC), case, accents of Latin, Greek and Cyrillic letters
  (U+0300 to U+036F), and a few letters that Unicode does not decompose ("ø" becomes "o").
  "CHÂTEAU", "Château" and "chateau" are one word; "か" and "が" are two.
- A word is a run of letters, digits and their marks; all other characters separate words. So no
  operator of a query language remains in a query.
- Scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese; Korean too,
  whose particles stick to words) are cut into overlapping pairs of characters: "红葡萄" becomes
  红葡, 葡萄. Products are also indexed by single characters, so that a query of one character finds
  them.

Words are not stemmed here: "wines" is not "wine".
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

LONGEST = 64
"""Characters of a word that are used."""
MOST_ASKED = 32
"""Words of a query that are used: the first ones."""

_ACCENTS = re.compile("[\u0300-\u036f]")
_WHOLE = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe"})
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
"""Thai, Lao, Burmese, Khmer, kana, Han, Hangul."""
_RUN = re.compile(f"{_UNSPACED.pattern}|[^ {_UNSPACED.pattern[2:-3]}]+")
_ASCII = re.compile("[a-z0-9]+")


class WordSpan(NamedTuple):
    """A word and where it stands in a text, in characters (code points)."""

    word: str
    starts: tuple[int, ...]
    """Offset of each character of the word."""
    end: int


def words_of(text: str) -> list[str]:
    """Return the words of a product's text, in their order."""
    return [word for run in runs_of(text) for word in (_pieces(run, singles=True))]


def asked_words(text: str) -> tuple[str, ...]:
    """Return the words of a query without duplicates, at most MOST_ASKED."""
    return tuple(dict.fromkeys(typed_words(text)))[:MOST_ASKED]


def typed_words(text: str) -> list[str]:
    """Return the words of a query, in their order."""
    return [word for run in runs_of(text) for word in _pieces(run, singles=False)]


def runs_of(text: str) -> list[str]:
    """Split into runs of letters, digits and marks, each either spaced or unspaced script."""
    if text.isascii():
        return _ASCII.findall(text.lower())
    spaced = "".join([letter if _belongs(letter) else " " for letter in fold(text)])
    return _UNSPACED.sub(r" \1 ", spaced).split()


def ends_word(text: str) -> bool:
    """Return whether the last word of a text is followed by a separator."""
    return not _belongs(fold(text)[-1:] or " ")


def is_unspaced(word: str) -> bool:
    """Return whether a word is of a script that is written without spaces."""
    return _UNSPACED.match(word) is not None


def fold(text: str) -> str:
    """Return the text with its letters folded (see the module)."""
    lower = unicodedata.normalize("NFKC", text).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", lower))
    return unicodedata.normalize("NFC", bare).translate(_WHOLE)


def word_spans(text: str) -> list[WordSpan]:
    """Return the words of a product's text with their places, in the order of their beginnings.

    Empty for texts that contain sequences which fold only together, such as decomposed Hangul.
    """
    if text.isascii():
        lower = text.lower()
        runs = (match.span() for match in _ASCII.finditer(lower))
        ends = ((start, min(end, start + LONGEST)) for start, end in runs)
        return [WordSpan(lower[at:end], tuple(range(at, end)), end) for at, end in ends]
    folded, origins = list[str](), list[int]()
    for place, letter in enumerate(text):
        letters = _folded(letter)
        folded += letters
        origins += [place] * len(letters)
    spaced = "".join(letter if _belongs(letter) else " " for letter in folded)
    if "".join(folded) != fold(text):
        return []
    return [
        WordSpan(spaced[start:end], tuple(origins[start:end]), _end(text, origins, end))
        for match in re.finditer(_RUN, spaced)
        for start, end in _places(*match.span(), unspaced=match.lastindex == 1)
    ]


def _places(start: int, end: int, *, unspaced: bool) -> list[tuple[int, int]]:
    """Return where the words of a run begin and end."""
    if not unspaced:
        return [(start, min(end, start + LONGEST))]
    singles = [(place, place + 1) for place in range(start, end)]
    return sorted(singles + [(place, place + 2) for place in range(start, end - 1)])


def _end(text: str, origins: Sequence[int], end: int) -> int:
    """Return where the character before `end` of a folded text ends, with its accents."""
    place = origins[end - 1] + 1
    while place < len(text) and _ACCENTS.match(text, place):
        place += 1
    return place


def _pieces(run: str, *, singles: bool) -> list[str]:
    """Return the words of a run. `singles`: of an unspaced run, its single characters too."""
    if not _UNSPACED.match(run):
        return [run[:LONGEST]]
    pairs = [run[place : place + 2] for place in range(len(run) - 1)]
    return [*run, *pairs] if singles else pairs or [run]


@lru_cache(maxsize=20_000)
def _folded(letter: str) -> str:
    return fold(letter)


@lru_cache(maxsize=20_000)
def _belongs(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LNM"
