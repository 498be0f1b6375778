"""A search by words: the products that have words of a text, that pass a filter.

It reads the record alone, so it works without engine and models, and sees every write at once.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.column_cache import Columns, View
from retriever.columns.word_index import best
from retriever.domain.dictionaries import NO_DICTIONARIES, Dictionaries
from retriever.domain.errors import KeywordsInvalid
from retriever.domain.generation import DEFAULT_SPACE
from retriever.domain.index_values import Collapse
from retriever.domain.synonyms import AskedWords
from retriever.domain.vectors import Floats
from retriever.domain.words import LABEL, MOST_FOUND, in_market, label_words, words_of_terms
from retriever.record import Record
from retriever.search.candidates import Candidates, recorded_vectors
from retriever.search.collapse import choose
from retriever.search.corrections import corrected
from retriever.search.exact import Ordered
from retriever.search.query import DEFAULT_TOP_K, EVERYTHING, check_limits
from retriever.search.search import Measure
from retriever.search.translations import translated
from retriever.search.word_forms import with_forms
from servicekit.rpc.requests import RequestInvalid
from servicekit.tasks.off_loop import off_loop
from sightline_core.columns import Stamp
from sightline_rules.filters import Filter
from sightline_rules.stems import stemmer_of
from sightline_rules.synonyms import NO_SYNONYMS, Synonyms
from sightline_rules.words import MOST_ASKED

MOST_TEXT = 4_096
"""Characters."""
MOST_COUNTED_TEXTS, LONGEST_COUNTED = 200, 512


@dataclass(frozen=True, slots=True)
class KeywordQuery:
    """Query of a keyword search."""

    catalog_id: str
    text: str
    condition: Filter = EVERYTHING
    top_k: int = DEFAULT_TOP_K
    excluded: tuple[str, ...] = ()
    collapse: Collapse = Collapse.DROP
    language_code: str = ""
    """Language of the text, by which its words are compared with synonyms."""
    market_id: str = ""
    """Market whose titles are searched too; empty: none."""
    labelled: bool = False
    """If true, the text is that of a photo's label, and words of products' labels count too."""
    correct: bool = False
    """If true, and no product has a word of the text, the nearest words are searched; not for a
    label."""
    guess_language: bool = False
    """If true, the code is not what the request says, and dictionaries guess the language."""


@dataclass(frozen=True, slots=True)
class KeywordAnswer:
    """Result of a keyword search, best first."""

    candidates: Candidates
    """`similarities`: how well each matches, 0 to 1 (words.match)."""
    plan: str
    uses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By product that lacks a part of the text: the part, and the synonym that it has instead."""
    corrected: str = ""
    """Text that was searched; empty: the given one."""
    read: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By product, the words of the label that it has; empty unless `labelled`."""


async def search(
    query: KeywordQuery,
    record: Record,
    measure: Measure = lambda _: contextlib.nullcontext(),
    *,
    columns: Columns | None = None,
    synonyms: Synonyms = NO_SYNONYMS,
    dictionaries: Dictionaries = NO_DICTIONARIES,
) -> KeywordAnswer:
    """Return the products that match best; none for no word, or none that any product has.

    Raises KeywordsInvalid, RequestInvalid.
    """
    check(query)
    if query.labelled:
        asked = AskedWords(label_words(query.text)[:MOST_ASKED])
    else:
        asked = AskedWords.of(query.text, synonyms, query.language_code)
    columns = columns or Columns(record, exact_rows=0)
    with measure("words"):
        matching = await _matching(query, asked, record, columns, dictionaries)
        correction = ""
        if query.correct and not query.labelled and not matching.count:
            correction = await _correction(query, asked, columns)
        if correction:
            query = replace(query, text=correction)
            asked = AskedWords.of(correction, synonyms, query.language_code)
            matching = await _matching(query, asked, record, columns, dictionaries)
    with measure("hydrate"):
        found = await _ordered(query, matching, record)
    candidates = Candidates.of(found, query.top_k, query.collapse)
    uses = await _uses(query.catalog_id, asked, candidates.product_ids, record)
    read = await _read(query, candidates.product_ids, record) if query.labelled else {}
    meant = f", {len(asked.uses)} synonyms" if asked.uses else ""
    plan = f"words: {len(asked.words)} asked{meant}, {found.rows} products match"
    return KeywordAnswer(candidates, plan, uses, correction, read)


async def _correction(query: KeywordQuery, asked: AskedWords, columns: Columns) -> str:
    """Return the corrected text; empty if words are as they should be, or are not in memory."""
    held = await columns.words(query.catalog_id) if asked.words and not asked.uses else None
    if held is None:
        return ""
    there = [*words_of_terms(in_market(asked, query.market_id).others)]
    if any(held[1].asked(there).counts.values()):
        return ""
    return await corrected(query.text, held[1], stemmer_of(query.language_code))


async def _uses(
    catalog_id: str, asked: AskedWords, product_ids: Sequence[str], record: Record
) -> dict[str, tuple[str, str]]:
    """Return the synonyms by which products were found."""
    if not asked.uses or not product_ids:
        return {}
    rows = await record.words(catalog_id, product_ids)
    used = {name: asked.used(frozenset(" ".join(words).split())) for name, words in rows}
    return {name: each for name, each in used.items() if each is not None}


async def _read(
    query: KeywordQuery, product_ids: Sequence[str], record: Record
) -> dict[str, list[str]]:
    """Return the words of the label that each product has in its texts or on its labels."""
    asked = label_words(query.text)
    rows = await record.words(query.catalog_id, product_ids) if product_ids else []
    held = {
        name: {each.removeprefix(LABEL) for each in " ".join(words).split()} for name, words in rows
    }
    return {name: [word for word in asked if word in words] for name, words in held.items()}


async def counts(
    catalog_id: str,
    texts: Sequence[str],
    record: Record,
    columns: Columns,
    synonyms: Synonyms = NO_SYNONYMS,
) -> list[int]:
    """Return how many products a search without dictionaries finds by the words of each text, at
    most 1,000 each.

    Raises RequestInvalid.
    """
    if not 1 <= len(texts) <= MOST_COUNTED_TEXTS:
        raise RequestInvalid.at("texts", f"must have 1 to {MOST_COUNTED_TEXTS} entries")
    for place, text in enumerate(texts):
        if len(text) > LONGEST_COUNTED:
            raise RequestInvalid.at(
                f"texts[{place}]", f"has more than {LONGEST_COUNTED} characters"
            )
    asked = (AskedWords.of(text, synonyms) for text in texts)
    return [await _count(catalog_id, each, record, columns) for each in asked]


async def _count(catalog_id: str, asked: AskedWords, record: Record, columns: Columns) -> int:
    if not asked.words:
        return 0
    held = await columns.words(catalog_id)
    if held is None:
        condition = (EVERYTHING, frozenset[str]())
        found = await record.find_words(catalog_id, asked.words, *condition, others=asked.others)
        return len(found)
    postings = held[1].asked(asked.words, asked.others)
    matching = await off_loop(postings.steps, postings.matching())
    return min(len(matching.places), MOST_FOUND)


@dataclass(frozen=True, slots=True)
class _Matching:
    """Matching products, best first, without those deleted since."""

    view: View
    places: Ints
    """In the view's table."""
    matches: Sequence[float]
    count: int
    """Number of matches, including products deleted since."""
    stamp: Stamp
    """Stamp of the columns by which they pass."""


async def _matching(
    query: KeywordQuery,
    asked: AskedWords,
    record: Record,
    columns: Columns,
    dictionaries: Dictionaries,
) -> _Matching:
    """Return the products that words match: in memory if a catalog's words are held, else by the
    store."""
    excluded = frozenset(query.excluded)
    held = await columns.words(query.catalog_id) if asked.words else None
    if held is not None:
        view, words = held
        stamp = view.table.stamped
        if query.labelled:
            asked = words.of_label(label_words(query.text))
        else:
            asked = await translated(
                *(asked, query.text, words.__contains__, dictionaries, query.language_code),
                guess=query.guess_language,
            )
            asked = await with_forms(asked, words, query.language_code)
            asked = in_market(asked, query.market_id)
        passing = partial(view.conditions.passing, query.condition)
        places, matches = await best(
            words.asked(asked.words, asked.others), view.table, passing, excluded
        )
        return _Matching(view, places, matches.tolist(), len(places), stamp)
    named = list[tuple[str, float]]()
    if asked.words:
        others = asked.others if query.labelled else in_market(asked, query.market_id).others
        named = await record.find_words(
            *(query.catalog_id, asked.words, query.condition, excluded), others=others
        )
    view = await columns.of(query.catalog_id, [product_id for product_id, _ in named])
    places = view.table.places([product_id for product_id, _ in named])
    there = np.flatnonzero(places >= 0)
    worth = [named[row][1] for row in there.tolist()]
    return _Matching(view, places[there], worth, len(named), view.table.stamped)


def check(query: KeywordQuery) -> None:
    """Raise KeywordsInvalid or RequestInvalid if the request is invalid."""
    if not query.text:
        raise KeywordsInvalid.at("text", "is empty; give what was typed")
    if len(query.text) > MOST_TEXT:
        raise KeywordsInvalid.at("text", f"has {len(query.text)} characters; at most {MOST_TEXT}")
    check_limits(query.top_k, query.excluded)


async def _ordered(query: KeywordQuery, found: _Matching, record: Record) -> Ordered:
    async def firsts(places: Ints) -> Mapping[int, Floats]:
        # Its vectors decide whether similar photos are the same picture.
        looks = await record.generation(query.catalog_id, DEFAULT_SPACE)
        return await recorded_vectors(found.view, record, looks)(places)

    compared = None if query.collapse is Collapse.OFF else firsts
    own = found.view.table.places([])
    chosen = await choose(found.view.table, found.places, own, query.top_k, compared)
    photos = [""] * len(found.places)
    return Ordered(
        found.view, found.places, found.matches, photos, chosen, found.count, found.stamp
    )
