"""Suggestions for a search box: completions of what was typed, facet values and products.

All words have to occur; the last one may be unfinished. Only where nothing has the words as typed,
the words that nothing has are replaced by the nearest ones. What is found by the catalog's
synonyms of typed words follows what is found by these. The order depends on nothing but the
catalog: completions and values of most products first, then by alphabet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import numpy as np

from retriever.columns.arrays import Flags, Ints
from retriever.columns.coded import CodedColumn
from retriever.columns.ordering import SortKeys, first
from retriever.columns.suggestion_index import (
    FACETS,
    SuggestedValue,
    SuggestionIndex,
    SuggestionIndexes,
)
from retriever.columns.table import ProductTable
from retriever.domain.errors import ColumnsUnavailable
from servicekit.rpc.requests import RequestInvalid
from servicekit.tasks.off_loop import off_loop
from sightline_core.search import CatalogSuggestions, SuggestedText
from sightline_rules.evaluation.work import Work
from sightline_rules.filters import Availability
from sightline_rules.lexicon import Stem
from sightline_rules.phrases import Meaning, PhraseIndex, TypedText
from sightline_rules.stems import stemmer_of
from sightline_rules.synonyms import NO_SYNONYMS, Synonyms
from sightline_rules.words import is_unspaced, word_spans, words_of

MOST_PREFIX = 256
"""Characters of a typed text."""
MOST_OF_A_KIND = 20
LEAST_LETTERS = 3
"""Letters from which products are suggested; scripts without spaces: from one."""
_SPARE = 4
"""Products that are looked at for each suggested one, as variants and equal titles count once."""
MOST_REPHRASED = 4
"""Texts with synonyms that are searched beside the typed one."""
_STEM_STEPS, _NEAREST_STEPS = 500, 4_000
"""Cost of finding the words of a stem, and the nearest ones."""


@dataclass(frozen=True, slots=True)
class SuggestionQuery:
    """Request for suggestions."""

    catalog_id: str
    prefix: str
    """Text that was typed so far."""
    size: int
    """Suggestions of each kind, at most."""
    language_code: str = ""


NOTHING = CatalogSuggestions()


async def suggest(
    query: SuggestionQuery, indexes: SuggestionIndexes, synonyms: Synonyms = NO_SYNONYMS
) -> CatalogSuggestions:
    """Return suggestions; none for a text without a word.

    Raises RequestInvalid, ColumnsUnavailable (the catalog is not in memory, or not read yet) and
    DeadlineExceeded.
    """
    check(query)
    typed = TypedText.of(query.prefix)
    if typed is None:
        return NOTHING
    found = await indexes.of(query.catalog_id)
    if found is None:
        raise ColumnsUnavailable
    view, index = found
    stem = stemmer_of(query.language_code)
    texts = [(query, typed), *_rephrased(query, typed, synonyms, stem)]
    for tolerant in (False, True):
        answers = []
        for asked, words in texts[:1] if tolerant else texts:
            cost = len(words.words) * (_NEAREST_STEPS if tolerant else _STEM_STEPS)
            meant = await off_loop(cost, _meant(index, words, stem, tolerant=tolerant))
            search = _Search(asked, words, view.table, index, meant)
            answers.append(await off_loop(search.steps, search.run()))
        if any(answers):
            return answers[0] if len(answers) == 1 else _merged(answers, query.size)
    return NOTHING


def _rephrased(
    query: SuggestionQuery, typed: TypedText, synonyms: Synonyms, stem: Stem | None
) -> Iterable[tuple[SuggestionQuery, TypedText]]:
    """Yield the text with a part of it replaced by a synonym, each once."""
    texts = dict[str, None]()
    for use in synonyms.uses(typed.words, stem):
        before, after = typed.words[: use.start], typed.words[use.end :]
        if not any(map(is_unspaced, (*before, *after))):  # these are overlapping pairs
            texts[" ".join((*before, use.written, *after)) + " " * typed.finished] = None
    for text in [*texts][:MOST_REPHRASED]:
        if words := TypedText.of(text):
            yield replace(query, prefix=text), words


def _merged(answers: Sequence[CatalogSuggestions], size: int) -> CatalogSuggestions:
    """Return the suggestions of several texts, those of the first text first, each once."""

    def each(kind: str) -> list[SuggestedText]:
        found = dict[tuple[str, str], SuggestedText]()
        for one in chain.from_iterable(getattr(answer, kind) for answer in answers):
            found.setdefault((one.field, " ".join(words_of(one.text))), one)
        return list(found.values())[:size]

    return CatalogSuggestions(each("completions"), each("facet_values"), each("products"))


def check(query: SuggestionQuery) -> None:
    """Raise RequestInvalid if a field is out of range."""
    if len(query.prefix) > MOST_PREFIX:
        raise RequestInvalid.at("prefix", f"has more than {MOST_PREFIX} characters")
    if not 1 <= query.size <= MOST_OF_A_KIND:
        raise RequestInvalid.at("page_size", f"must be 1 to {MOST_OF_A_KIND}")


@dataclass(frozen=True, slots=True)
class _Meant:
    """Meaning of a text in each part of an index; None: nothing."""

    products: Meaning | None
    values: Meaning | None


def _meant(
    index: SuggestionIndex, typed: TypedText, stem: Stem | None, *, tolerant: bool
) -> Work[_Meant]:
    products = index.products.meaning(typed, stem, tolerant=tolerant)
    yield
    return _Meant(products, index.values.meaning(typed, stem, tolerant=tolerant))


class _Search:
    """Search for a text in an index, in steps that can run in a thread."""

    def __init__(
        self,
        query: SuggestionQuery,
        typed: TypedText,
        table: ProductTable,
        index: SuggestionIndex,
        meant: _Meant,
    ) -> None:
        self._query, self._typed, self._table, self._index = query, typed, table, index
        self._in_products, self._in_values = meant.products, meant.values
        self._alive = table.alive[: len(index.products)].copy()

    @property
    def steps(self) -> int:
        """The cost in steps of `off_loop`."""
        asked = (self._index.products, self._in_products), (self._index.values, self._in_values)
        return sum(2 * index.steps(meaning) for index, meaning in asked if meaning is not None)

    def run(self) -> Work[CatalogSuggestions]:
        """Return the suggestions."""
        values = yield from self._values()
        words = yield from self._words()
        products = yield from self._products()
        meanings = [each for each in (self._in_values, self._in_products) if each is not None]
        return CatalogSuggestions(
            completions=self._completions(words, values),
            facet_values=[each for each in values if each.field in FACETS][: self._query.size],
            products=products,
            corrected=any(each.corrected for each in meanings),
        )

    def _values(self) -> Work[list[SuggestedText]]:
        """Return values that have all words, those that begin with them first."""
        index, meaning = self._index.values, self._in_values
        if meaning is None:
            return []
        rows = yield from index.matching(meaning, np.ones(len(index), np.bool_))
        begins = index.begins(rows, meaning.words[0])
        rows = rows[np.lexsort((rows, ~begins))]  # rows are by number of products, then alphabet
        facets, size = self._index.facets[rows], self._query.size
        chosen = np.concatenate([rows[facets][:size], rows[~facets][:size]])
        return [self._value(self._index.held[row], meaning) for row in chosen.tolist()]

    def _value(self, value: SuggestedValue, meaning: Meaning) -> SuggestedText:
        before = len(value.text) - len(value.name)
        marks = [
            (before + start, before + end)
            for start, end in meaning.marks(value.name, self._index.values.lexicon)
        ]
        return SuggestedText(value.text, marks, value.count, value.field)

    def _words(self) -> Work[list[SuggestedText]]:
        """Return the typed text with its last word completed, by words of products that have its
        other words too."""
        index, meaning = self._index.products, self._in_products
        if meaning is None or is_unspaced(self._typed.words[-1]):
            return []
        places, counts = yield from index.completions(meaning, self._alive)
        # Words are sorted, so that equal counts are by alphabet.
        best = np.lexsort((places, -counts))[: self._query.size]
        return [
            self._completed(meaning, place, count)
            for place, count in zip(places[best].tolist(), counts[best].tolist(), strict=True)
        ]

    def _completed(self, meaning: Meaning, place: int, count: int) -> SuggestedText:
        text = f"{self._head(meaning)}{self._written(place)}"
        marks = meaning.marks(text, self._index.products.lexicon)
        return SuggestedText(text, marks, count)

    def _head(self, meaning: Meaning) -> str:
        """Return the words before the last one: as typed, or corrected."""
        lexicon, spans = self._index.products.lexicon, word_spans(self._query.prefix)
        if not meaning.corrected and spans:
            last = max(span.starts[0] for span in spans)
            return " ".join(self._query.prefix[:last].split()) + " " * bool(last)
        held = [
            typed if lexicon.word(typed) else self._written(ranges[0][0])
            for typed, ranges in zip(self._typed.words[:-1], meaning.words[:-1], strict=True)
        ]
        return "".join(f"{word} " for word in held)

    def _written(self, place: int) -> str:
        """Return a folded word as the first product that has it writes it, in lower case."""
        word = self._index.products.lexicon.words[place]
        row = self._index.products.row_of(place, self._alive)
        for text in self._texts(row) if row >= 0 else ():
            for span in word_spans(text):
                if span.word == word:
                    return text[span.starts[0] : span.end].lower()
        return word

    def _texts(self, place: int) -> Iterable[str]:
        yield self._table.titles[place]
        for name in FACETS:
            column = cast(CodedColumn, self._table.columns[name])
            yield column.texts[int(column.codes[place])]

    def _completions(
        self, words: Sequence[SuggestedText], values: Sequence[SuggestedText]
    ) -> list[SuggestedText]:
        """Return values of tags and attributes, and words, each text once."""
        given = [
            SuggestedText(each.text, each.marks, each.count)
            for each in values
            if each.field not in FACETS
        ]
        found = dict[str, SuggestedText]()
        for each in sorted((*given, *words), key=lambda each: (-each.count, each.text)):
            found.setdefault(" ".join(words_of(each.text)), each)
        return list(found.values())[: self._query.size]

    def _products(self) -> Work[list[SuggestedText]]:
        """Return products that have all words: those first that have them in the title, that begin
        with one, and that can be bought. Variants of one parent, and equal titles, count once."""
        index, meaning = self._index.products, self._in_products
        letters = sum(map(len, self._typed.words))
        enough = letters >= LEAST_LETTERS or is_unspaced(self._typed.words[-1])
        if meaning is None or not enough:
            return []
        places = yield from index.matching(meaning, self._alive)
        titled = yield from index.in_text(places, meaning)
        begins = index.begins(places, meaning.words[0])
        values = 4 * ~titled + 2 * ~begins + self._sold_out(places)
        keys = SortKeys(np.zeros(len(places), np.int64), values, self._table.ties[places])
        yield
        rows = yield from first(keys, _SPARE * self._query.size)
        chosen = self._distinct(places[rows])[: self._query.size]
        return [self._product(place, meaning, index) for place in chosen]

    def _sold_out(self, places: Ints) -> Ints:
        column = cast(CodedColumn, self._table.columns["availability"])
        flags: Flags = column.codes[places] == column.known(Availability.OUT_OF_STOCK)
        return flags.astype(np.int64)

    def _distinct(self, places: Ints) -> list[int]:
        """Return the first of each family and title, without those that have no title."""
        families, found = set[int](), dict[str, int]()
        given = zip(places.tolist(), self._table.families(places).tolist(), strict=True)
        for place, family in given:
            title = self._table.titles[place].casefold()
            if title and title not in found and family not in families:
                found[title] = place
                families.add(family)
        return list(found.values())

    def _product(self, place: int, meaning: Meaning, index: PhraseIndex) -> SuggestedText:
        title = self._table.titles[place]
        marks = meaning.marks(title, index.lexicon)
        return SuggestedText(title, marks, product_id=self._table.ids[place])
