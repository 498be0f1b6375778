"""The nearest rows of former comparisons, kept for equal queries: the pages of popular products ask
for the same neighbours again and again, and each comparison reads every vector.

Rows are append-only (see vectors.py), so that the similarities of a former comparison stay right:
only rows written since then are compared.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Self

import numpy as np
import numpy.typing as npt

from retriever.domain.vectors import Floats
from sightline_rules.fast_dataclass import fast_dataclass

Rows = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Compare = Callable[[Sequence[Floats], slice], Scores]

MOST_BYTES = 32 * 2**20
"""Bytes that the kept rows of one generation take, at most; never more than its vectors."""
LEAST_KEPT = 4
"""Number of queries that have room at least: rows that would take more of it, such as those of a
filter that few products pass, are not kept in place of all others."""
_ENTRY_BYTES = 400
"""Bytes that an entry takes beside its rows, about."""


@fast_dataclass(frozen=True, slots=True)
class NearRows:
    """Rows at least as near as a floor, with their similarities; a comparison's nearest."""

    rows: Rows
    """Ascending."""
    scores: Scores
    """Similarity of each; more is nearer."""
    floor: np.float32
    """Each row of lower number than `compared` that is as near as this is there."""
    count: int
    """Number of rows that were asked for: at least as many are there."""
    compared: int
    """Number of rows that were compared."""

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self.rows.nbytes + self.scores.nbytes + _ENTRY_BYTES

    def beside(self, scores: Scores) -> Self:
        """Return the same with those near among the rows that follow. `scores`: of these rows."""
        (near,) = (scores >= self.floor).nonzero()
        rows, similarities = self.rows, self.scores
        if len(near):
            rows = np.concatenate([rows, (near + self.compared).astype(np.int32)])
            similarities = np.concatenate([similarities, scores[near]])
        compared = self.compared + len(scores)
        return self.__class__(rows, similarities, self.floor, self.count, compared)

    def until(self, total: int) -> tuple[Rows, Scores]:
        """Return the rows of numbers below `total`, and their similarities."""
        if self.compared <= total:
            return self.rows, self.scores
        end = int(self.rows.searchsorted(total))
        return self.rows[:end], self.scores[:end]


class KeptRows:
    """Nearest rows by query, the last used ones. For one generation; not for several threads."""

    def __init__(self) -> None:
        """Begin without any."""
        self._bytes = 0
        self._room = 0
        """Bytes that all may take."""
        self._kept: OrderedDict[bytes, NearRows] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self._kept)

    def nearest(
        self,
        queries: Sequence[Floats],
        count: int,
        total: int,
        compare: Compare,
        *,
        most_written: int,
    ) -> tuple[Rows, Scores] | None:
        """Return at least `count` rows nearest to any of the queries, among the first `total`, as
        (rows, similarities), ascending rows; `None` if all rows are to be compared.

        Rows written since the former comparison are compared by `compare`, up to `most_written`.
        """
        key = _key(queries)
        kept = self._kept.get(key)
        if kept is None or kept.count < count:
            return None
        if kept.compared < total:
            if total - kept.compared > most_written:
                return None
            kept = kept.beside(compare(queries, slice(kept.compared, total)))
        self._put(key, kept)
        return kept.until(total)

    def keep(self, queries: Sequence[Floats], found: NearRows, room: int) -> None:
        """Keep the nearest rows of a comparison, unless they take too large a part of `room` or
        MOST_BYTES; the oldest ones go where all take more."""
        self._room = min(room, MOST_BYTES)
        self._put(_key(queries), found)

    def _put(self, key: bytes, found: NearRows) -> None:
        if found.size * LEAST_KEPT <= self._room:
            former = self._kept.pop(key, None)
            self._bytes += found.size - (former.size if former is not None else 0)
            self._kept[key] = found
        while self._bytes > self._room:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size


def _key(queries: Sequence[Floats]) -> bytes:
    digest = blake2b(digest_size=16)
    for query in queries:
        digest.update(query.tobytes())
    return digest.digest()
