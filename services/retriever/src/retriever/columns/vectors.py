"""The vectors of one generation in memory, beside the products that they are of.

Rows are append-only: a changed vector is a new row, and its old row is dead (owned by no product).
So a comparison may run in a thread during the next write. When many rows are dead, the others are
copied into new `Vectors`; comparisons under way continue on the old ones.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import attrgetter

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.changes import ChangedPlaces
from retriever.columns.column import grown
from retriever.columns.near_rows import KeptRows, Scores
from retriever.columns.table import ProductTable
from retriever.columns.unique_pictures import UniquePictures
from retriever.domain.column_rows import PhotoRow
from retriever.domain.generation import Generation, VectorMetric
from retriever.domain.vectors import Floats

NOBODY = -1
_FIRST = 256
LEAST_DEAD = 1_024
ALIGNED = 16
"""Rows are compared in whole blocks of this many."""
WHOLE = slice(None)
KEPT_NUMBERS = 250_000
"""Numbers of a generation from which the nearest rows of comparisons are kept."""
_image_id = attrgetter("image_id")


class Vectors:
    """Rows of a generation. Not thread-safe, except for `compare`."""

    def __init__(self, generation: Generation, expected: int = _FIRST) -> None:
        """Start without rows. `expected`: number of rows for which there is room at first."""
        self.generation = generation
        self.metric = generation.parameters.metric
        self.head = 0
        """The newest commit included: all earlier ones are included too."""
        self._matrix: Floats = np.zeros((aligned(expected), generation.dimension), np.float32)
        self._owner: Ints = np.zeros(len(self._matrix), np.int64)
        self._lent = False
        """Whether a search may read the owners."""
        self._keys: list[PhotoRow] = []
        self._of: dict[int, list[int]] = {}
        """Rows by their product's place, in the order of its photos."""
        self._dead = 0
        self.several = 0
        """Number of products with more than one row."""
        self._changes = ChangedPlaces()
        """Of the vectors of first photos."""
        self._unique: UniquePictures | None = None
        self.kept = KeptRows()
        """The nearest rows of former comparisons, where KEPT_NUMBERS are compared."""

    def __len__(self) -> int:
        """Return the number of rows that belong to a product."""
        return len(self._keys) - self._dead

    @property
    def owners(self) -> Ints:
        """The place of each row's product, as of now; NOBODY marks a dead row."""
        self._lent = True
        return self._owner[: len(self._keys)]

    @property
    def size(self) -> int:
        """Bytes of the vectors."""
        return self._matrix.nbytes

    def key(self, row: int) -> PhotoRow:
        """Return the photo and product of a row."""
        return self._keys[row]

    def image_ids(self, rows: Sequence[int]) -> list[str]:
        """Return the photo of each row; empty where the product itself has the vector."""
        return [*map(_image_id, map(self._keys.__getitem__, rows))]

    def unique(self, table: ProductTable) -> UniquePictures:
        """Return which products of the table, which the vectors are beside, show a picture of
        their own."""
        if self._unique is None:
            self._unique = UniquePictures(table, self._changes, self.first)
        return self._unique

    def of(self, place: int) -> list[Floats]:
        """Return the vectors of a product's photos, in order; with cosine, of unit length."""
        return [self._matrix[row] for row in self._of.get(place, ())]

    def first(self, place: int) -> Floats | None:
        """Return the vector of a product's first photo; None if that photo has no vector."""
        row = self._first(place)
        return None if row == NOBODY else np.asarray(self._matrix[row])

    def _first(self, place: int) -> int:
        """Return the row of a product's first photo; NOBODY if that photo has no vector."""
        for row in self._of.get(place, ()):
            if self._keys[row].position == 0:
                return row
        return NOBODY

    def held(self, place: int) -> dict[str, int]:
        """Return by row id the commit that wrote each vector of a product."""
        return {self._keys[row].row_id: self._keys[row].seq for row in self._of.get(place, ())}

    def put(self, place: int, rows: Sequence[PhotoRow], fresh: Mapping[str, Floats]) -> None:
        """Replace all rows of a product. `fresh`: vectors by row id, of those that changed."""
        first, held = self._first(place), self._of.pop(place, [])
        before = {self._keys[row].row_id: row for row in held}
        mine = []
        for key in sorted(rows, key=lambda each: each.position):
            row = before.pop(key.row_id, NOBODY)
            if key.row_id in fresh:
                self._kill(row)
                row = self._add(place, key, fresh[key.row_id])
            if row != NOBODY:
                self._keys[row] = key
                mine.append(row)
        for row in before.values():
            self._kill(row)
        if mine:
            self._of[place] = mine
        self.several += (len(mine) > 1) - (len(held) > 1)
        if self._first(place) != first:
            self._changes.note([place])

    def remove(self, place: int) -> None:
        """Forget a product's rows."""
        self.put(place, (), {})

    def compare(self, queries: Sequence[Floats], rows: slice = WHOLE) -> Scores:
        """Return the similarity (Hit.similarity; more is nearer) of each row to its nearest query,
        shape (rows,)."""
        begin, end = 0, len(self._keys)
        if rows is not WHOLE:
            begin, end, _ = rows.indices(end)
        first = begin // ALIGNED * ALIGNED
        matrix = self._matrix[first : -(-end // ALIGNED) * ALIGNED]
        asked = np.array(queries, np.float32)
        if self.metric is VectorMetric.COSINE:
            asked /= np.sqrt(np.add.reduce(asked * asked, axis=1, keepdims=True))
        # One query at a time: a product of a matrix and a vector reads the rows just once, and
        # gives the same similarity whatever else is asked with it. So do whole blocks of rows, as
        # the library computes the last rows of others in another order.
        scores = [matrix @ query for query in asked]
        if self.metric is VectorMetric.L2:
            squares = np.einsum("ij,ij->i", matrix, matrix)
            lengths = (asked**2).sum(axis=1)
            scores = [
                2 * each - squares - length for each, length in zip(scores, lengths, strict=True)
            ]
        best: Scores = reduce(np.maximum, scores)
        if self.metric is VectorMetric.COSINE:
            np.maximum(np.minimum(best, 1.0, out=best), -1.0, out=best)
        return best[begin - first : end - first]

    def _add(self, place: int, key: PhotoRow, vector: Floats) -> int:
        row = len(self._keys)
        if row == len(self._matrix):
            size = aligned(row + max(row // 2, 1))
            self._matrix, self._owner = grown(self._matrix, size), grown(self._owner, size)
        if self.metric is VectorMetric.COSINE:
            vector = vector / np.linalg.norm(vector.astype(np.float64))
        self._matrix[row] = vector
        self._owner[row] = place
        self._keys.append(key)
        return row

    def _kill(self, row: int) -> None:
        if row == NOBODY:
            return
        if self._lent:  # searches go on with the former owners
            self._owner, self._lent = self._owner.copy(), False
        self._owner[row] = NOBODY
        self._dead += 1

    def compacted(self) -> "Vectors":
        """Return a copy without the dead rows if these are many; otherwise return self."""
        if self._dead <= max(LEAST_DEAD, len(self._keys) // 4):
            return self
        kept = np.flatnonzero(self.owners != NOBODY)
        rows = {row: place for place, row in enumerate(kept.tolist())}
        made = Vectors(self.generation, len(kept))
        made.head = self.head
        made._matrix[: len(kept)] = self._matrix[kept]
        made._owner[: len(kept)] = self._owner[kept]
        made._keys = [self._keys[row] for row in kept.tolist()]
        made._of = {place: [rows[row] for row in mine] for place, mine in self._of.items()}
        made.several = self.several
        return made


def aligned(rows: int) -> int:
    """Return the number of rows of whole blocks that hold `rows`."""
    return -(-rows // ALIGNED) * ALIGNED


def loaded(
    generation: Generation,
    table: ProductTable,
    rows: Sequence[PhotoRow],
    fresh: Mapping[str, Floats],
) -> Vectors:
    """Return a generation's rows, of the products that are in the table."""
    vectors = Vectors(generation, len(rows))
    by_product: dict[int, list[PhotoRow]] = {}
    for row in rows:
        place = table.place(row.product_id)
        if place >= 0:
            by_product.setdefault(place, []).append(row)
    for place, mine in by_product.items():
        vectors.put(place, mine, fresh)
    return vectors
