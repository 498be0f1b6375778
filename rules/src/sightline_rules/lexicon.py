"""Sorted words of a catalog: those that begin with letters, and those that a mistyped one may mean.

A mistyped word is near a word if both begin with the same letter and differ by few edits: a letter
that is wrong, missing, superfluous, or exchanged with its neighbor (optimal string alignment).
Words of up to three letters have none, those of up to seven letters one, longer ones two.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

Ranges = list[tuple[int, int]]
"""Places of words, from and before."""
Stem = Callable[[str], str]
"""Returns the stem of a folded word."""
SHORT, MEDIUM = 3, 7
"""Letters up to which words have no edit, and one."""
STEMMED = 4
"""Letters from which words are compared by their stems."""
LEAST_SHARED = 3
"""First letters that words of one stem share, at least."""
MOST_COMPARED = 5_000
"""Words whose stems are compared."""
_END = "\U0010ffff"
"""Behind every letter."""


def edits_of(word: str) -> int:
    """Return by how many edits a mistyped word may differ from the one meant."""
    return 0 if len(word) <= SHORT else 1 if len(word) <= MEDIUM else 2


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Distinct folded words, sorted."""

    words: Sequence[str]

    def word(self, word: str) -> Ranges:
        """Return the place of a word; empty if it is unknown."""
        place = bisect_left(self.words, word)
        known = place < len(self.words) and self.words[place] == word
        return [(place, place + 1)] if known else []

    def beginning(self, letters: str) -> Ranges:
        """Return the places of the words that begin with some letters."""
        start = bisect_left(self.words, letters)
        end = bisect_left(self.words, letters + _END, start)
        return [(start, end)] if start < end else []

    def alike(self, word: str, stem: Stem | None) -> Ranges:
        """Return the places of the words that have a word's stem: of those that share all of the
        stem's letters but its last, at least three; all letters if too many words share these."""
        if stem is None or len(word) < STEMMED:
            return []
        own = stem(word)
        for letters in (own[: max(LEAST_SHARED, len(own) - 1)], own):
            for start, end in self.beginning(letters):
                if end - start <= MOST_COMPARED:
                    places = range(start, end)
                    return [(at, at + 1) for at in places if stem(self.words[at]) == own]
        return []

    def near(self, word: str, *, prefix: bool) -> tuple[int, Ranges]:
        """Return the fewest edits by which words differ from a mistyped one, and their places.

        `prefix`: compared with the beginnings of words. Empty if none is near enough.
        """
        for edits in range(edits_of(word) + 1):
            if found := _Near(self.words, word, prefix).within(edits):
                return edits, found
        return 0, []


@dataclass(slots=True)
class _Near:
    """Search for the words within some edits of one, on the tree that sorted words are."""

    words: Sequence[str]
    asked: str
    prefix: bool
    found: set[tuple[int, int]] = field(default_factory=set)
    done: set[tuple[int, int, int, int, int]] = field(default_factory=set)

    def within(self, edits: int) -> Ranges:
        """Return the places of the words, merged where they touch."""
        start, end = self._narrowed(0, len(self.words), self.asked[:1])
        self._visit(start, end, 1, 1, edits)
        merged: Ranges = []
        for low, high in sorted(self.found):
            if merged and low <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(high, merged[-1][1])
            else:
                merged.append((low, high))
        return merged

    def _visit(self, low: int, high: int, depth: int, place: int, left: int) -> None:
        """Visit words that share their first `depth` letters, with which `place` letters of the
        asked word were compared. `left`: edits that are left."""
        state = low, high, depth, place, left
        if low >= high or state in self.done:
            return
        self.done.add(state)
        rest = self.asked[place:]
        if not left or (self.prefix and not rest):
            self._finish(low, high, depth, rest)
            return
        if not rest:
            self._finish(low, high, depth, "")
        else:
            self._visit(low, high, depth, place + 1, left - 1)  # a superfluous letter
        for letter, start, end in self._children(low, high, depth):
            self._visit(start, end, depth + 1, place, left - 1)  # a missing letter
            if not rest:
                continue
            right = letter == rest[0]
            self._visit(start, end, depth + 1, place + 1, left - (not right))
            if rest[1:2] == letter and not right:
                swapped = self._narrowed(start, end, self.words[start][: depth + 1] + rest[0])
                self._visit(*swapped, depth + 2, place + 2, left - 1)

    def _finish(self, low: int, high: int, depth: int, rest: str) -> None:
        """Note the words that continue with the rest of the asked word."""
        start = self.words[low][:depth] + rest
        if self.prefix:
            low, high = self._narrowed(low, high, start)
        else:
            low = bisect_left(self.words, start, low, high)
            high = low + (low < high and self.words[low] == start)
        if low < high:
            self.found.add((low, high))

    def _children(self, low: int, high: int, depth: int) -> Iterator[tuple[str, int, int]]:
        """Yield each letter that follows, with the places of its words."""
        words = self.words
        if len(words[low]) == depth:
            low += 1
        while low < high:
            start = words[low][: depth + 1]
            end = bisect_left(words, start + _END, low, high)
            yield start[depth], low, end
            low = end

    def _narrowed(self, low: int, high: int, letters: str) -> tuple[int, int]:
        low = bisect_left(self.words, letters, low, high)
        return low, bisect_left(self.words, letters + _END, low, high)
