"""Inverted index of a catalog's words in memory. A search sums the scores of each word's products
on arrays and so compares all of them, whereas the store's full-text search compares the likeliest
only. Both compute the same scores (domain/words.py).

Rows are append-only: a product whose words changed gets a new row, and its old row is dead (owned
by no product). When many rows are dead, the index has to be rebuilt.
"""

from array import array
from bisect import insort
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Flags, Ints
from retriever.columns.table import ProductTable
from retriever.columns.vectors import LEAST_DEAD, NOBODY
from retriever.domain.synonyms import AskedWords, Others
from retriever.domain.words import (
    LABEL,
    MOST_COUNTED,
    MOST_FOUND,
    MOST_PRODUCTS,
    NO_OTHERS,
    SYNONYM,
    Words,
    WordStatistics,
    frequencies,
    saturated,
    selecting,
    words_of_terms,
)
from servicekit.tasks.off_loop import off_loop
from sightline_rules.evaluation.work import Work
from sightline_rules.lexicon import Lexicon
from sightline_rules.words import MOST_ASKED

Passing: TypeAlias = Callable[[Ints], Awaitable[Flags]]
Matches: TypeAlias = npt.NDArray[np.float64]
Frequencies: TypeAlias = npt.NDArray[np.float64]
_FEW = 64
"""New words that are put into the sorted ones one by one."""
_SORTED = 4_096
"""Products that are sorted at a time."""


class WordIndex:
    """Postings by word. Not for several threads at a time."""

    def __init__(self) -> None:
        self.head = 0
        """The newest commit included: all earlier ones are included too."""
        self._owner = array("q")
        """The place of each row's product; NOBODY marks a dead row."""
        self._row: dict[int, int] = {}
        """The row of each product, by its place."""
        self._hashes: dict[int, int] = {}
        """The hash of each product's words, by its place: most writes leave them as they were."""
        self._postings: dict[str, tuple[array[int], array[float]]] = {}
        """By word, the rows that have it, and how often (words.frequencies)."""
        self._labels: dict[str, tuple[array[int], array[float]]] = {}
        """Rows and frequencies of words of labels and of titles of markets, by word with the prefix
        LABEL."""
        self._vocabulary = Lexicon(())

    def __len__(self) -> int:
        """Return the number of products."""
        return len(self._row)

    def __contains__(self, word: str) -> bool:
        """Return whether a product has a word in its texts, or had it before it changed."""
        return word in self._postings

    @property
    def worn(self) -> bool:
        """Return whether the index has to be rebuilt, because too many rows are dead."""
        return len(self._owner) - len(self._row) > max(LEAST_DEAD, len(self._row) // 4)

    def put(self, place: int, words: Words) -> None:
        """Replace a product's words."""
        if self._hashes.get(place) == hash(words):
            return
        self.remove(place)
        self._hashes[place] = hash(words)
        row = self._row[place] = len(self._owner)
        self._owner.append(place)
        for word, frequency in frequencies(words).items():
            postings = self._labels if word.startswith(LABEL) else self._postings
            rows, counts = postings.setdefault(word, (array("q"), array("d")))
            rows.append(row)
            counts.append(frequency)

    def remove(self, place: int) -> None:
        """Forget a product's words."""
        row = self._row.pop(place, NOBODY)
        if row != NOBODY:
            del self._hashes[place]
            self._owner[row] = NOBODY

    def retain(self, alive: Flags) -> None:
        """Forget the words of products that are not alive. `alive`: by place."""
        for place in [each for each in self._row if not alive[each]]:
            self.remove(place)

    def asked(self, asked: Sequence[str], others: Others = NO_OTHERS) -> "Postings":
        """Return a copy of the postings of these words and their synonyms, for a thread.

        At most 50 MB for 32 words that 100,000 products have, copied in 10 ms on the event loop;
        usually a hundredth of that.
        """
        words = tuple(dict.fromkeys((*asked, *words_of_terms(others))))
        rows = map(self._posted, words)
        found = {
            word: (np.array(having, np.int64), np.array(often, np.float64))
            for word, (having, often) in zip(words, rows, strict=True)
        }
        return Postings(np.array(self._owner, np.int64), found, len(self), tuple(asked), others)

    def of_label(self, words: Sequence[str]) -> AskedWords:
        """Return those words of a label that any product has, the rarest MOST_ASKED, in texts or on
        labels, which count less."""
        known = {word: self._count(word) + self._count(LABEL + word) for word in words}
        rarest = sorted((word for word in known if known[word]), key=known.__getitem__)
        asked = tuple(rarest[:MOST_ASKED])
        return AskedWords(asked, {word: ((LABEL + word,),) for word in asked})

    def _count(self, word: str) -> int:
        return len(self._posted(word)[0])

    def _posted(self, word: str) -> tuple[Sequence[int], Sequence[float]]:
        """Return the rows that have a word, dead ones too, and how often."""
        postings = self._labels if word.startswith(LABEL) else self._postings
        return postings.get(word, ((), ()))

    def vocabulary(self) -> Lexicon:
        """Return all words, also those that only removed products had. The first call sorts them:
        100,000 in 30 ms; a few new ones are put into a copy, in 1 ms."""
        held = self._vocabulary.words
        if len(held) < len(self._postings):
            new = [*islice(self._postings, len(held), None)]
            words = [*held]
            if len(new) > _FEW:
                words = sorted(words + new)
            else:
                for word in new:
                    insort(words, word)
            self._vocabulary = Lexicon(words)
        return self._vocabulary


@dataclass(frozen=True, slots=True)
class WordMatches:
    """Products that the words of a query select."""

    places: Ints
    matches: Matches
    """Match of each row of `places`, 0 to 1."""
    statistics: WordStatistics
    """Counts of words that gave the words their weights."""


@dataclass(frozen=True, slots=True)
class Postings:
    """Snapshot of some words of a catalog, for use in a thread."""

    owners: Ints
    """The place of each row's product; NOBODY marks a dead row."""
    found: Mapping[str, tuple[Ints, Frequencies]]
    """By word, the rows that have it, and how often."""
    products: int
    """The catalog's number of products."""
    asked: Sequence[str]
    others: Others

    @property
    def counts(self) -> dict[str, int]:
        """The number of products that have each word."""
        return {
            word: int(np.count_nonzero(self.owners[rows] != NOBODY))
            for word, (rows, _) in self.found.items()
        }

    @property
    def steps(self) -> int:
        """The cost in steps of `off_loop`: 64 additions take as long as one look at a text."""
        terms = sum(len(term) for terms in self.others.values() for term in terms)
        held = sum(len(rows) for rows, _ in self.found.values())
        return ((1 + terms) * len(self.owners) + held) // 64

    def matching(self, statistics: WordStatistics | None = None) -> Work[WordMatches]:
        """Return the products that the words select. `statistics`: None: the current ones."""
        held = {word: self._alive(*each) for word, each in self.found.items()}
        alive = dict[str, tuple[Ints, Frequencies]]()
        for word in self.asked:
            alive[word] = yield from self._meaning(word, held)
        if statistics is None:
            counts = {word: min(len(rows), MOST_COUNTED) for word, (rows, _) in alive.items()}
            statistics = WordStatistics(counts, min(self.products, MOST_PRODUCTS))
        rarities = statistics.rarities
        rows = _selected(
            {word: rows for word, (rows, _) in alive.items()}, statistics.counts, len(self.owners)
        )
        scores = np.zeros(len(self.owners))
        for word, (having, often) in alive.items():
            yield
            scores[having] += rarities[word] * saturated(often)
        matches = scores[rows] / sum(rarities.values())
        return WordMatches(self.owners[rows], matches, statistics)

    def _meaning(
        self, word: str, held: Mapping[str, tuple[Ints, Frequencies]]
    ) -> Work[tuple[Ints, Frequencies]]:
        """Return the rows that have a word or a term that it also means, and how often."""
        if word not in self.others:
            return held[word]
        most = np.zeros(len(self.owners))
        rows, often = held[word]
        most[rows] = often
        for term in self.others[word]:
            least = np.full(len(self.owners), np.inf)
            for each in term:
                yield
                rows, often = held[each]
                having = np.zeros(len(self.owners))
                having[rows] = often
                np.minimum(least, having, out=least)
            np.maximum(most, SYNONYM * least, out=most)
        found = np.flatnonzero(most)
        return found, most[found]

    def _alive(self, rows: Ints, often: Frequencies) -> tuple[Ints, Frequencies]:
        alive = self.owners[rows] != NOBODY
        return rows[alive], often[alive]


async def best(
    postings: Postings, table: ProductTable, passing: Passing, excluded: Collection[str]
) -> tuple[Ints, Matches]:
    """Return the places of passing products that the words select, and their matches (0 to 1).

    Best first, equal ones by id; at most MOST_FOUND.
    """
    found = await off_loop(postings.steps, postings.matching())
    kept = await passing(found.places) & ~np.isin(found.places, table.places(list(excluded)))
    places, matches = found.places[kept], found.matches[kept]
    return await off_loop(len(places), _first(table.ids, places, matches))


def indexed(table: ProductTable, words: Iterable[tuple[str, Words]]) -> WordIndex:
    """Return an index of the words of the products that are in the table."""
    index = WordIndex()
    for product_id, held in words:
        place = table.place(product_id)
        if place >= 0:
            index.put(place, held)
    return index


def _selected(rows: Mapping[str, Ints], counts: Mapping[str, int], size: int) -> Ints:
    """Return the rows of products that the words select. `size`: the number of all rows."""
    chosen, every = selecting(counts)
    times = np.zeros(size, np.int16)
    for word in chosen:
        times[rows[word]] += 1
    return np.flatnonzero(times == len(chosen) if every and chosen else times)


def _first(all_ids: Sequence[str], places: Ints, matches: Matches) -> Work[tuple[Ints, Matches]]:
    """Sort in parts, so that no step takes longer than one of them."""
    if len(matches) > MOST_FOUND:
        near = np.flatnonzero(matches >= np.partition(matches, -MOST_FOUND)[-MOST_FOUND])
        places, matches = places[near], matches[near]
    parts = []
    for start in range(0, len(places), _SORTED):
        yield
        some = range(start, min(start + _SORTED, len(places)))
        worth = (-matches[some.start : some.stop]).tolist()
        ids = [all_ids[place] for place in places[some.start : some.stop].tolist()]
        parts.append(sorted(zip(worth, ids, some, strict=True)))
    order = [row for _, _, row in islice(merge(*parts), MOST_FOUND)]
    return places[order], matches[order]
