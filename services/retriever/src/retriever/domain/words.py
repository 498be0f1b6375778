"""Tokenization of texts into words for keyword search: equal on every store, and for texts and
queries.

- Letters are folded: compatibility forms (NFKC), case, accents of Latin, Greek and Cyrillic letters
  (U+0300 to U+036F), and a few letters that Unicode does not decompose ("ø" becomes "o").
  "CHÂTEAU", "Château" and "chateau" are one word; "か" and "が" are two.
- A word is a run of letters, digits and their marks; all other characters separate words. So no
  operator of a query language remains in a query.
- Scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese; Korean too,
  whose particles stick to words) are cut into overlapping pairs of characters: "红葡萄" becomes
  红葡, 葡萄. Products are also indexed by single characters, so that a query of one character finds
  them.

Words are not stemmed: "wines" is not "wine". The space of texts finds synonyms.
"""

import math
import re
import unicodedata
from collections.abc import Container, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from retriever.domain.product import ProductContent
from retriever.domain.texts import parts_of
from sightline_rules.fields import SEARCHED, WEIGHTS

Frequency = TypeVar("Frequency", float, npt.NDArray[np.float64])

MOST_COUNTED = 10_000
"""Maximum number of products counted per word. A word that reaches it selects no products if the
query also has a rarer word."""
MOST_PRODUCTS = 100_000
"""Maximum number of products counted to estimate the size of a catalog."""
MOST_FOUND = 1_000
"""Maximum number of products that a keyword search finds."""
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


def words_of(text: str) -> list[str]:
    """Return the words of a product's text, in their order."""
    return [word for run in _runs(text) for word in (_pieces(run, singles=True))]


def asked_words(text: str) -> tuple[str, ...]:
    """Return the words of a query without duplicates, at most MOST_ASKED."""
    found = dict.fromkeys(word for run in _runs(text) for word in _pieces(run, singles=False))
    return tuple(found)[:MOST_ASKED]


def fold(text: str) -> str:
    """Return the text with its letters folded (see the module)."""
    lower = unicodedata.normalize("NFKC", text).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", lower))
    return unicodedata.normalize("NFC", bare).translate(_WHOLE)


def _runs(text: str) -> list[str]:
    """Split into runs of letters, digits and marks, each either spaced or unspaced script."""
    spaced = "".join([letter if _belongs(letter) else " " for letter in fold(text)])
    return _UNSPACED.sub(r" \1 ", spaced).split()


def _pieces(run: str, *, singles: bool) -> list[str]:
    """Return the words of a run. `singles`: of an unspaced run, its single characters too."""
    if not _UNSPACED.match(run):
        return [run[:LONGEST]]
    pairs = [run[place : place + 2] for place in range(len(run) - 1)]
    return [*run, *pairs] if singles else pairs or [run]


@lru_cache(maxsize=20_000)
def _belongs(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LNM"


# How well a product matches

FIELDS = tuple(WEIGHTS)
"""Columns of words (sightline_rules.fields)."""
_TYPICAL = (6.0, 8.0, 8.0)
"""Number of words of each field in a typical product."""
_SATURATION, _LENGTH = 1.2, 0.75
"""k1 and b of BM25, with their usual values."""


class Words(NamedTuple):
    """Words of a product by column, separated by blanks."""

    title: str
    names: str
    """Words of category, brand and tags."""
    details: str
    """Words of attributes."""


def words_in(content: ProductContent) -> Words:
    """Return the words by which keyword search finds a product."""
    texts = dict.fromkeys(WEIGHTS, "")
    for field, text in parts_of(content, SEARCHED):
        texts[field.searched] += f"{text} "
    return Words(**{name: " ".join(words_of(text)) for name, text in texts.items()})


def rarity(count: int, of: int) -> float:
    """Return the weight of a word that `count` of `of` products have.

    BM25's inverse document frequency, above 0.
    """
    return math.log(1 + max(of - count, 0) / (count + 0.5) + 0.5 / (count + 0.5))


def frequencies(words: Words, asked: Container[str] | None = None) -> dict[str, float]:
    """Return each word's frequency: its counts per field, weighted and divided by field length.

    `asked`: only these words. `None`: all words.
    """
    found: dict[str, float] = {}
    for text, weight, typical in zip(words, WEIGHTS.values(), _TYPICAL, strict=True):
        held = text.split(" ")
        each = weight / (1 - _LENGTH + _LENGTH * len(held) / typical)
        for word in held:
            if word and (asked is None or word in asked):
                found[word] = found.get(word, 0.0) + each
    return found


def saturated(frequency: Frequency) -> Frequency:
    """Saturate a frequency: return a score from 0 to below 1."""
    return frequency / (_SATURATION + frequency)


def match(asked: Mapping[str, float], words: Words) -> float:
    """Score a product for words of these rarities: 0 (it has none of them) to below 1.

    The mean of the words' saturated frequencies, weighted by rarity: BM25F (Robertson, Zaragoza
    2009, 3.6), with saturation at 1. So the score does not depend on the other products found.
    """
    found = frequencies(words, asked)
    matched = sum(rare * saturated(found.get(word, 0.0)) for word, rare in asked.items())
    return matched / sum(asked.values())


def selecting(counts: Mapping[str, int]) -> tuple[list[str], bool]:
    """Return the words that select products, and whether a product must have all of them.

    A product with any of the rarer words is selected; if all words are common, one with all of
    them. `counts`: number of products per word, up to MOST_COUNTED.
    """
    there = [word for word, count in counts.items() if count]
    rarer = [word for word in there if counts[word] < MOST_COUNTED]
    return rarer or there, not rarer
