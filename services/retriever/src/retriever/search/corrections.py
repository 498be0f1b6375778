"""Corrections of texts of which no product has a word, by the words of the catalog's products."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain

from retriever.columns.word_index import WordIndex
from sightline_rules.lexicon import Lexicon, Stem
from sightline_rules.words import MOST_ASKED, WordSpan, is_unspaced, word_spans


async def corrected(text: str, index: WordIndex, stem: Stem | None) -> str:
    """Return a text with each word replaced by the nearest one that products have, of equally near
    ones by that of most products; empty if no word has a near one, or a product has a word of it.

    Words whose stems products have are kept. Texts in scripts without spaces are not corrected.
    """
    spans = word_spans(text)[:MOST_ASKED]
    if not spans or any(is_unspaced(span.word) for span in spans):
        return ""
    words = list(dict.fromkeys(span.word for span in spans))
    if any(index.asked(words).counts.values()):
        return ""
    near = await asyncio.to_thread(_near, words, index.vocabulary(), stem)
    counts = index.asked(list(dict.fromkeys(chain.from_iterable(near.values())))).counts
    nearest = dict[str, str]()
    for word, candidates in near.items():
        best = min(candidates, key=lambda each: (-counts[each], each), default="")
        if best and counts[best]:
            nearest[word] = best
    return _replaced(text, spans, nearest) if nearest else ""


def _near(words: Sequence[str], vocabulary: Lexicon, stem: Stem | None) -> dict[str, list[str]]:
    """Return the nearest words of the vocabulary by word; none for one whose stem is known."""
    found = dict[str, list[str]]()
    for word in words:
        if not vocabulary.alike(word, stem):
            _, ranges = vocabulary.near(word, prefix=False)
            found[word] = [vocabulary.words[at] for low, high in ranges for at in range(low, high)]
    return found


def _replaced(text: str, spans: Sequence[WordSpan], nearest: Mapping[str, str]) -> str:
    parts, end = list[str](), 0
    for span in spans:
        start, before, end = span.starts[0], end, span.end
        parts += [text[before:start], nearest.get(span.word, text[start:end])]
    return "".join((*parts, text[end:]))
