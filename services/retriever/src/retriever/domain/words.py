"""Words of products in keyword search, and how well a product matches."""

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from retriever.domain.product import ProductContent
from retriever.domain.synonyms import AskedWords, Others
from retriever.domain.texts import parts_of
from sightline_rules.fields import SEARCHED, WEIGHTS
from sightline_rules.words import words_of

Frequency = TypeVar("Frequency", float, npt.NDArray[np.float64])

MOST_COUNTED = 10_000
"""Maximum number of products counted per word. A word that reaches it selects no products if the
query also has a rarer word."""
MOST_PRODUCTS = 100_000
"""Maximum number of products counted to estimate the size of a catalog."""
MOST_FOUND = 1_000
"""Maximum number of products that a keyword search finds."""
FIELDS = tuple(WEIGHTS)
"""Columns of words (sightline_rules.fields)."""
_TYPICAL = (6.0, 8.0, 8.0)
"""Number of words of each field in a typical product."""
LABEL = "·"
"""Prefix of the words of labels in memory, and of those of titles of markets, which no word of a
text has. Only searches by labels, and those in the market, ask for them."""
MOST_LABEL = 64 * 129
"""Characters of the text of a photo's label: as many lines as the embedder returns at most."""
_LEAST_LETTERS = 2
"""Letters of a label's word: single ones are mostly misread. With three, labels gained 3 of 100
searches by photos of groceries, with two 5 (validation part, 2026-11)."""
SYNONYM = 0.8
"""Factor of the frequency of a term that only means the same: products with the words as they were
typed come first."""
NO_OTHERS: Others = MappingProxyType({})
_SATURATION, _LENGTH = 1.2, 0.75
"""k1 and b of BM25, with their usual values."""


class Words(NamedTuple):
    """Words of a product by column, separated by blanks."""

    title: str
    """Also the words of the titles of its markets, after its own (`market_word`)."""
    names: str
    """Words of category, brand and tags."""
    details: str
    """Words of attributes."""
    labels: str = ""
    """Words of the labels on its photos (labels_of); not a column."""


@dataclass(frozen=True, slots=True)
class WordStatistics:
    """Numbers of a catalog by which the words of a query select products and count."""

    counts: Mapping[str, int]
    """By word of the query, the number of products that have it, up to MOST_COUNTED."""
    products: int
    """Number of products of the catalog, up to MOST_PRODUCTS."""

    @property
    def rarities(self) -> dict[str, float]:
        """The weight of each word."""
        return {
            word: rarity(count, max(self.products, count)) for word, count in self.counts.items()
        }


def words_in(content: ProductContent) -> Words:
    """Return the words by which keyword search finds a product."""
    texts = dict.fromkeys(WEIGHTS, "")
    for field, text in parts_of(content, SEARCHED):
        texts[field.searched] += f"{text} "
    words = {name: words_of(text) for name, text in texts.items()}
    for each in content.markets:
        words["title"] += (market_word(each.market_id, word) for word in words_of(each.title))
    return Words(**{name: " ".join(some) for name, some in words.items()})


def market_word(market_id: str, word: str) -> str:
    """Return a word of a market's title as it is stored."""
    return f"{LABEL}{market_id}{LABEL}{word}"


def in_market(asked: AskedWords, market_id: str) -> AskedWords:
    """Return a query whose words, and the terms that they also mean, select products by their
    titles in a market too. Empty: no market."""
    if not market_id:
        return asked
    others = dict[str, list[tuple[str, ...]]]()
    for word in asked.words:
        terms = asked.others.get(word, ())
        there = (tuple(market_word(market_id, each) for each in t) for t in ((word,), *terms))
        others[word] = [*terms, *there]
    return replace(asked, others=others)


def label_words(text: str) -> tuple[str, ...]:
    """Return the words of a label's lines by which products are found, without duplicates."""
    words = dict.fromkeys(words_of(text))
    return tuple(word for word in words if len(word) >= _LEAST_LETTERS)


def labels_of(texts: Iterable[str]) -> str:
    """Return the words of labels as Words.labels has them: with the prefix LABEL, a line for each
    photo that has any."""
    lines = (" ".join(LABEL + word for word in label_words(text)) for text in texts)
    return "\n".join(line for line in lines if line)


def rarity(count: int, of: int) -> float:
    """Return the weight of a word that `count` of `of` products have.

    BM25's inverse document frequency, above 0.
    """
    return math.log(1 + max(of - count, 0) / (count + 0.5) + 0.5 / (count + 0.5))


def frequencies(words: Words, asked: Container[str] | None = None) -> dict[str, float]:
    """Return each word's frequency: its counts per field, weighted and divided by field length; of
    a label's word, the share of the photos with words that have it.

    `asked`: only these words. `None`: all words. In its market, a market's title counts as the
    product's own: as a text of its own length, and more by what it loses as a term (SYNONYM).
    """
    found: dict[str, float] = {}
    for text, weight, typical in zip(words[:-1], WEIGHTS.values(), _TYPICAL, strict=True):
        for market, some in groupby(text.split(" "), _market):
            held = list(some)
            each = weight / (1 - _LENGTH + _LENGTH * len(held) / typical)
            if market:
                each /= SYNONYM
            for word in held:
                if word and (asked is None or word in asked):
                    found[word] = found.get(word, 0.0) + each
    photos = words.labels.splitlines()
    for word, count in Counter(words.labels.split()).items():
        if asked is None or word in asked:
            found[word] = count / len(photos)
    return found


def _market(word: str) -> str:
    """Return the prefix of a word of a market's title; empty for other words."""
    return word.rpartition(LABEL)[0]


def saturated(frequency: Frequency) -> Frequency:
    """Saturate a frequency: return a score from 0 to below 1."""
    return frequency / (_SATURATION + frequency)


def match(asked: Mapping[str, float], words: Words, others: Others = NO_OTHERS) -> float:
    """Score a product for words of these rarities: 0 (it has none of them) to below 1.

    The mean of the words' saturated frequencies, weighted by rarity: BM25F (Robertson, Zaragoza
    2009, 3.6), with saturation at 1. So the score does not depend on the other products found.
    `others`: terms that count as the word, less.
    """
    found = frequencies(words, {*asked, *words_of_terms(others)})
    matched = 0.0
    for word, rare in asked.items():
        meant = (SYNONYM * min(found.get(each, 0.0) for each in t) for t in others.get(word, ()))
        matched += rare * saturated(max(found.get(word, 0.0), *meant, 0.0))
    return matched / sum(asked.values())


def words_of_terms(others: Others) -> Iterable[str]:
    """Return the words of the terms that words of a query also mean, each once."""
    return dict.fromkeys(word for terms in others.values() for term in terms for word in term)


def selecting(counts: Mapping[str, int]) -> tuple[list[str], bool]:
    """Return the words that select products, and whether a product must have all of them.

    A product with any of the rarer words is selected; if all words are common, one with all of
    them. `counts`: number of products per word, up to MOST_COUNTED.
    """
    there = [word for word, count in counts.items() if count]
    rarer = [word for word in there if counts[word] < MOST_COUNTED]
    return rarer or there, not rarer
