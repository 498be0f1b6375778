"""Search of short texts, such as titles, by what was typed so far.

All words of the typed text have to occur, in any order. The last one may be unfinished, unless a
separator follows it. A word also means the words of its stem in the caller's language. If a word
occurs nowhere, a tolerant search takes the nearest word instead (lexicon).
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import islice

import numpy as np
import numpy.typing as npt

from sightline_rules.evaluation.work import Work
from sightline_rules.lexicon import Lexicon, Ranges, Stem
from sightline_rules.words import ends_word, typed_words, word_spans

MOST_WORDS = 8
"""Words of a typed text that are used: the last ones."""
_PART = 256
"""Phrases that are read in a step."""
_SORTED = 4_096
"""Words that are sorted in a step."""
_GROUPED = 16_384
"""Pairs of word and phrase that are sorted in a step."""

Phrase = tuple[Iterable[str], Iterable[str]]
"""Words of a text, and further words by which it is found."""
Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TypedText:
    """Text that was typed so far."""

    words: tuple[str, ...]
    """Folded, at least one."""
    finished: bool
    """True if the last word is whole."""

    @classmethod
    def of(cls, text: str) -> "TypedText | None":
        """Read a text; None if it has no word."""
        words = typed_words(text)[-MOST_WORDS:]
        return cls(tuple(words), ends_word(text)) if words else None


@dataclass(frozen=True, slots=True)
class Meaning:
    """Meaning of a typed text among the words of an index."""

    typed: TypedText
    words: tuple[Ranges, ...]
    """By typed word, the words that it may mean."""
    corrected: bool = False
    """True if a word was replaced by the nearest one."""

    def marks(self, text: str, lexicon: Lexicon) -> list[tuple[int, int]]:
        """Return where a text has what was typed, from and before, in characters."""
        held = [{*_words(lexicon, ranges)} for ranges in self.words[:-1]]
        last, prefix = self.words[-1], self.typed.words[-1]
        found = list[tuple[int, int]]()
        for span in word_spans(text):
            if any(span.word in words for words in held):
                found.append((span.starts[0], span.end))
            elif _within(lexicon, last, span.word):
                begun = not self.typed.finished and span.word.startswith(prefix)
                part = begun and len(span.word) > len(prefix)
                end = span.starts[len(prefix)] if part else span.end
                found.append((span.starts[0], end))
        return _joined(found)


@dataclass(frozen=True, slots=True)
class PhraseIndex:
    """The words of many short texts, each a row. Never changes."""

    lexicon: Lexicon
    starts: Places
    """Offsets in `rows` at which the rows of each word begin; one more at the end."""
    rows: Rows
    """Rows by word, ascending."""
    own: Flags
    """By entry of `rows`, whether the word is in the text, not one of its further words."""
    first: Rows
    """By row, the place of the first word of its text; -1 without one."""

    @classmethod
    def build(cls, phrases: Iterable[Phrase]) -> Work["PhraseIndex"]:
        """Return an index of the words of some texts, in their order."""
        numbers = dict[str, int]()
        held, ends, owns, first = array("i"), array("q"), array("q"), array("i")
        for part in _parts(phrases, _PART):
            for words_of_text, further in part:
                own = dict.fromkeys(words_of_text)
                every = dict.fromkeys((*own, *further))
                numbered = [numbers.setdefault(word, len(numbers)) for word in every]
                held.extend(numbered)
                owns.append(len(held) - len(every) + len(own))
                ends.append(len(held))
                first.append(numbered[0] if own else -1)
            yield
        words = yield from _sorted_words(numbers)
        place = np.full(len(words) + 1, -1, np.int32)  # the last: of a row without words
        for low in range(0, len(words), _SORTED):
            part_of = words[low : low + _SORTED]
            place[[numbers[word] for word in part_of]] = range(low, low + len(part_of))
            yield
        codes = place[np.array(held, np.int32)]
        bounds = np.array([0, *ends], np.int64)
        lengths = bounds[1:] - bounds[:-1]
        doubled = np.repeat(2 * np.arange(len(lengths), dtype=np.int32), lengths)
        yield
        doubled += np.arange(len(held)) < np.repeat(np.array(owns, np.int64), lengths)
        yield
        starts = np.zeros(len(words) + 1, np.int64)
        np.cumsum(np.bincount(codes, minlength=len(words)), out=starts[1:])
        grouped = yield from _grouped(doubled, codes, starts)
        own_words = (grouped & 1).astype(np.bool_)
        grouped >>= 1
        firsts = place[np.array(first, np.int32)]
        return cls(Lexicon(words), starts, grouped, own_words, firsts)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.first)

    @property
    def nbytes(self) -> int:
        """Return the bytes of arrays and words."""
        words = sum(map(str.__sizeof__, self.lexicon.words)) + 8 * len(self.lexicon.words)
        arrays = (self.starts, self.rows, self.own, self.first)
        return words + sum(each.nbytes for each in arrays)

    def meaning(
        self, typed: TypedText, stem: Stem | None = None, *, tolerant: bool = False
    ) -> Meaning | None:
        """Return what a text means here; None if it has a word that means nothing.

        `tolerant`: a word that means nothing is replaced by the nearest words: for a whole word
        the one in most rows, the first of them by alphabet.
        """
        words, corrected = list[Ranges](), False
        for number, word in enumerate(typed.words):
            prefix = number == len(typed.words) - 1 and not typed.finished
            found = self.lexicon.beginning(word) if prefix else self.lexicon.word(word)
            found = _joined([*found, *self.lexicon.alike(word, stem)])
            if not found and tolerant:
                found, corrected = self._nearest(word, prefix=prefix), True
            if not found:
                return None
            words.append(found)
        return Meaning(typed, tuple(words), corrected)

    def counts(self, ranges: Ranges) -> Places:
        """Return in how many rows the words of some places occur."""
        return np.concatenate([np.diff(self.starts[low : high + 1]) for low, high in ranges])

    def steps(self, meaning: Meaning) -> int:
        """Return the cost in steps of `off_loop` of finding rows or completions."""
        held = sum(int(self.starts[high] - self.starts[low]) for low, high in _all(meaning))
        return (len(self) * len(meaning.words) + held) // 64

    def matching(self, meaning: Meaning, alive: Flags) -> Work[Places]:
        """Return the rows that have all words, ascending. `alive`: by row, whether it counts."""
        kept = alive
        for ranges in meaning.words:
            yield
            kept = kept & self._having(ranges)
        return np.flatnonzero(kept)

    def completions(self, meaning: Meaning, alive: Flags) -> Work[tuple[Places, Places]]:
        """Return the words that the last one may mean, by place, and the number of rows that have
        each of them and all other words. Words without such a row are left out."""
        kept = alive
        for ranges in meaning.words[:-1]:
            yield
            kept = kept & self._having(ranges)
        places, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for low, high in meaning.words[-1]:
            yield
            start, end = self.starts[low], self.starts[high]
            hits = kept[self.rows[start:end]].astype(np.int64)
            places.append(np.arange(low, high))
            counts.append(np.add.reduceat(hits, self.starts[low:high] - start))
        place, count = np.concatenate(places), np.concatenate(counts)
        return place[count > 0], count[count > 0]

    def in_text(self, rows: Places, meaning: Meaning) -> Work[Flags]:
        """Return which rows have all words in their text, not among their further words."""
        found = np.ones(len(rows), np.bool_)
        for ranges in meaning.words:
            yield
            having = np.zeros(len(self), np.bool_)
            for low, high in ranges:
                start, end = self.starts[low], self.starts[high]
                having[self.rows[start:end][self.own[start:end]]] = True
            found &= having[rows]
        return found

    def begins(self, rows: Places, ranges: Ranges) -> Flags:
        """Return which rows' texts begin with one of some words."""
        first = self.first[rows]
        found = np.zeros(len(rows), np.bool_)
        for low, high in ranges:
            found |= (first >= low) & (first < high)
        return found

    def row_of(self, word: int, alive: Flags) -> int:
        """Return the first row that counts and has a word; -1 without one."""
        rows = self.rows[self.starts[word] : self.starts[word + 1]]
        held = np.flatnonzero(alive[rows])
        return int(rows[held[0]]) if len(held) else -1

    def _having(self, ranges: Ranges) -> Flags:
        found = np.zeros(len(self), np.bool_)
        for low, high in ranges:
            found[self.rows[self.starts[low] : self.starts[high]]] = True
        return found

    def _nearest(self, word: str, *, prefix: bool) -> Ranges:
        _, ranges = self.lexicon.near(word, prefix=prefix)
        if prefix or not ranges:
            return ranges
        places = [place for low, high in ranges for place in range(low, high)]
        best = places[int(np.argmax(self.counts(ranges)))]
        return [(best, best + 1)]


def _all(meaning: Meaning) -> Iterable[tuple[int, int]]:
    return (each for ranges in meaning.words for each in ranges)


def _words(lexicon: Lexicon, ranges: Ranges) -> Iterable[str]:
    return (lexicon.words[place] for low, high in ranges for place in range(low, high))


def _within(lexicon: Lexicon, ranges: Ranges, word: str) -> bool:
    place = lexicon.word(word)
    return bool(place) and any(low <= place[0][0] < high for low, high in ranges)


def _joined(ranges: Ranges) -> Ranges:
    """Return ranges that do not overlap, sorted."""
    found: Ranges = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


def _parts(phrases: Iterable[Phrase], size: int) -> Iterable[list[Phrase]]:
    held = iter(phrases)
    while part := list(islice(held, size)):
        yield part


def _grouped(rows: Rows, codes: Rows, starts: Places) -> Work[Rows]:
    """Return the entries by code, in their order: a counting sort in parts."""
    found, free = np.zeros(len(rows), np.int32), starts[:-1].copy()
    for low in range(0, len(rows), _GROUPED):
        part = codes[low : low + _GROUPED]
        order = np.argsort(part, kind="stable")
        same, begins, counts = np.unique(part[order], return_index=True, return_counts=True)
        ranks = np.arange(len(part)) - np.repeat(begins, counts)
        found[np.repeat(free[same], counts) + ranks] = rows[low : low + _GROUPED][order]
        free[same] += counts
        yield
    return found


def _sorted_words(words: Iterable[str]) -> Work[list[str]]:
    """Sort in parts, so that no step takes longer than one of them."""
    given = list(words)
    parts = []
    for start in range(0, len(given), _SORTED):
        yield
        parts.append(sorted(given[start : start + _SORTED]))
    found = list[str]()
    merged = merge(*parts)
    while part := list(islice(merged, _SORTED)):
        yield
        found += part
    return found
