"""Products whose picture no other product of their catalog shows, which is most of them: searches
compare the pictures of the others alone.

Two products show one picture by the rule of sightline_rules.duplicates: by the hashes of their
first photos, and by the vectors of these photos where the hashes leave it open. A product is
compared with those of like colours once, and later with products written since: a write of one
product does not repeat the comparisons of others.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from retriever.columns.arrays import Flags, Ints
from retriever.columns.changes import ChangedPlaces
from retriever.columns.table import ProductTable
from retriever.domain.vectors import Floats
from sightline_rules.duplicates import CERTAIN, COLOUR_BITS, COSINE, NO_HASH, POSSIBLE
from sightline_rules.grouping import Hashes, compared

UNKNOWN: Final = -1
"""The product was not compared yet."""
SHARED: Final = -2
"""Another product shows its picture, or did so when it was compared."""
MOST_PAIRS = 2_000_000
"""Pairs of hashes that one search compares: 2 ms (one core, 2026-11)."""
BLOCK_PAIRS = 65_536
"""Pairs that are compared at a time: half a MiB."""
MOST_WRITTEN = 4_096
"""Written pictures up to which products are compared with these alone."""
MOST_EXPLORED = 256
"""Products that are compared at a time while no search asks for them."""
MOST_DOUBTS = 512
"""Pairs whose vectors are compared at a time; products of further pairs count as shared."""
MARGIN = 1e-3
"""Vectors are taken to agree a little below the rule's cosine, as their lengths are rounded."""

_COLOURS = np.uint64((1 << COLOUR_BITS) - 1)
_NEAR_COLOURS = (0, *(1 << bit for bit in range(COLOUR_BITS)))
"""Bits in which the colours of one picture may differ."""


class UniquePictures:
    """Which products of a table show a picture of their own. For one generation of vectors; not for
    several threads."""

    def __init__(
        self, table: ProductTable, changes: ChangedPlaces, first: Callable[[int], Floats | None]
    ) -> None:
        """Begin with no product compared.

        `changes`: of the generation's vectors. `first`: returns that of a product's first photo.
        """
        self._table, self._changes, self._first = table, changes, first
        self._version = self._rows = 0
        """Numbers of the changes of table and vectors that were followed."""
        self._hashes: Hashes = np.zeros(0, np.uint64)
        """By place, as they were then."""
        self._written: list[int] = []
        """Places of written pictures, oldest first, since the catalog was last indexed."""
        self._indexed = self._count = 0
        """Numbers of the pictures written before that, and until now."""
        self._shown: Ints = np.zeros(0, np.int64)
        """Places of the pictures written before that."""
        self._by_colour: list[Ints] = []
        """The same by colour."""
        self._explored = 0
        """Colours of which all products were compared."""
        self._until: Ints = np.zeros(0, np.int64)
        """By place, how many written pictures the product was compared with, none of which was
        like its own; or UNKNOWN, or SHARED."""
        self._forget()

    def at(self, places: Ints) -> Flags:
        """Return by place whether the product's picture is known to be its own alone."""
        if self._version != self._table.version or self._rows != self._changes.count:
            self._follow()
        until = self._until[places]
        known: Flags = until == self._count
        if False not in known:
            return known
        due = places[~known & (until != SHARED)]
        if len(due):
            self._compare(np.unique(due), MOST_PAIRS)
            known = self._until[places] == self._count
        return known

    # Following the catalog

    def _forget(self) -> None:
        """Begin anew, with no product compared."""
        self._version, self._rows = self._table.version, self._changes.count
        self._hashes = self._table.image_hash.copy()
        self._until = np.full(len(self._hashes), UNKNOWN)
        self._count += 1
        self._index()

    def _follow(self) -> None:
        """Note the pictures that were written; their products are to be compared again."""
        changed = self._table.changes.since(self._version)
        rows = self._changes.since(self._rows)
        if changed is None or rows is None:
            self._forget()
            return
        self._version, self._rows = self._table.version, self._changes.count
        hashes, known = self._table.image_hash, len(self._until)
        if len(hashes) > known:
            self._hashes = np.concatenate([self._hashes, np.zeros_like(hashes[known:])])
            self._until = np.concatenate([self._until, np.full(len(hashes) - known, UNKNOWN)])
        places = np.unique(np.array(changed, np.int64))
        written = np.union1d(places[hashes[places] != self._hashes[places]], rows).astype(np.int64)
        self._hashes[written] = hashes[written]
        self._until[written] = UNKNOWN
        self._written += written[hashes[written] != NO_HASH].tolist()
        self._count = self._indexed + len(self._written)
        if len(self._written) > MOST_WRITTEN:
            self._index()

    def _index(self) -> None:
        """Sort all pictures by colour. Products that were not compared with all written ones are to
        be compared again when they are found."""
        shown = np.flatnonzero((self._hashes != NO_HASH)[: len(self._table.ids)])
        colours = (self._hashes[shown] & _COLOURS).astype(np.uint8)
        order = np.argsort(colours, kind="stable")
        ends = np.searchsorted(colours[order], np.arange(1, 1 << COLOUR_BITS))
        self._shown, self._by_colour = shown, np.split(shown[order], ends)
        self._written, self._indexed, self._explored = [], self._count, 0

    # Comparing

    def explore(self, pairs: int) -> bool:
        """Compare some products that no search has found yet, in `pairs` pairs. Return whether
        there may be more."""
        self._follow()
        for colour in range(self._explored, len(self._by_colour)):
            mine = self._by_colour[colour]
            due = mine[self._until[mine] == UNKNOWN][:MOST_EXPLORED]
            if len(due):
                self._compare(due, pairs)
                return True
            self._explored = colour + 1
        return False

    def _compare(self, due: Ints, pairs: int) -> None:
        """Compare products with the catalog, or with what was written since they were compared.

        `due`: their places. `pairs`: maximum number of pairs, so that some stay unknown.
        """
        until, hashes = self._until, self._hashes
        until[due[hashes[due] == NO_HASH]] = self._count
        again = due[(until[due] >= self._indexed) & (until[due] < self._count)]
        if len(again):
            later = self._written[int(until[again].min()) - self._indexed :]
            again = again[: max(1, pairs // len(later))]
            self._settle(again, later)
            pairs -= len(again) * len(later)
        fresh = due[(until[due] < self._indexed) & (until[due] != SHARED)]
        if not len(fresh):
            return
        written = np.array(self._written, np.int64)
        if len(fresh) * (len(self._shown) + len(written)) <= pairs:
            self._settle(fresh, np.concatenate([self._shown, written]))
            return
        colours = hashes[fresh] & _COLOURS
        for colour in np.unique(colours).tolist():
            near = [self._by_colour[colour ^ bits] for bits in _NEAR_COLOURS]
            others = np.concatenate([*near, written])
            mine = fresh[colours == colour][: max(1, pairs // max(1, len(others)))]
            self._settle(mine, others)
            pairs -= len(mine) * len(others)
            if pairs <= 0:
                break

    def _settle(self, mine: Ints, others: Sequence[int] | Ints) -> None:
        """Compare products with the last ones that they are to be compared with."""
        beside = np.asarray(others, np.int64)
        step = max(1, BLOCK_PAIRS // max(1, len(beside)))
        for begin in range(0, len(mine), step):
            self._settle_block(mine[begin : begin + step], beside)

    def _settle_block(self, mine: Ints, beside: Ints) -> None:
        hashes = self._hashes
        one, other, bits = compared(hashes[mine], hashes[beside], POSSIBLE)
        left, right = mine[one], beside[other]
        there = (left != right) & self._table.alive[right] & (hashes[right] != NO_HASH)
        left, right, certain = left[there], right[there], bits[there] <= CERTAIN
        doubts = zip(left[~certain].tolist(), right[~certain].tolist(), strict=True)
        agreeing = [
            place
            for n, (place, by) in enumerate(doubts)
            if n >= MOST_DOUBTS or self._agree(place, by)
        ]
        self._until[mine] = self._count
        self._until[left[certain]] = SHARED
        self._until[agreeing] = SHARED

    def _agree(self, one: int, other: int) -> bool:
        """Return whether the vectors of two first photos may agree."""
        left, right = self._first(one), self._first(other)
        if left is None or right is None:
            return False
        lengths = np.sqrt(float(left @ left) * float(right @ right))
        return bool(left @ right >= (COSINE - MARGIN) * lengths)
