"""Exact search of the record while the engine does not answer, for small enough sets of rows.

The vectors of a generation of up to `most` rows are held in memory and kept up to date, see
columns. In a larger one a search is answered only where a part of its filter that the record has an
index for leaves few rows. lab/research/engines.md has what was measured.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retriever.columns.column_cache import Columns
from retriever.columns.vectors import Vectors
from retriever.domain.errors import IndexUnavailable
from retriever.domain.filter_parts import MAX_TRIED, MatchingRows, indexed_parts
from retriever.domain.generation import Freshness, Generation, VectorMetric
from retriever.domain.index_values import Hit, hit_order
from retriever.domain.vectors import Floats
from retriever.record import Record
from retriever.search.nearest import RoundResult, compare
from retriever.search.planning import MOST_MATCHES
from sightline_rules.filters import Filter

MOST_ROWS = 10_000
"""Largest generation, in rows, that is compared while the engine is unavailable."""


@dataclass(frozen=True, slots=True)
class RecordCopy:
    """Rows as stored in the record."""

    rows: MatchingRows | Vectors
    """Rows that pass a part of the filter, or all rows of a generation."""
    freshness: Freshness
    """Lag of these rows: they lack only writes whose photos are pending for a vector."""

    @property
    def words(self) -> str:
        """Readable description of the source."""
        return f"exact comparison with {self._count} vectors of the record"

    @property
    def _count(self) -> int:
        return len(self.rows.keys) if isinstance(self.rows, MatchingRows) else len(self.rows)

    async def look(
        self, vectors: Sequence[Floats], metric: VectorMetric, limit: int
    ) -> RoundResult:
        """Return the `limit` rows nearest to any of the vectors."""
        if isinstance(self.rows, MatchingRows):
            hits = await asyncio.to_thread(compare, self.rows, vectors, metric)
        else:
            hits = _best(self.rows, await asyncio.to_thread(self.rows.compare, vectors), limit)
        return RoundResult(hits[:limit], complete=limit >= self._count, matches=self._count)


def _best(rows: Vectors, scores: Floats, limit: int) -> list[Hit]:
    """Return the `limit` best rows as hits, best first."""
    held = np.flatnonzero(rows.owners[: len(scores)] >= 0)
    if len(held) > limit:
        held = held[np.argpartition(-scores[held], limit - 1)[:limit]]
    found = [
        Hit(key.row_id, key.product_id, key.image_id, score)
        for key, score in zip(map(rows.key, held.tolist()), scores[held].tolist(), strict=True)
    ]
    return sorted(found, key=hit_order)


class RecordFallback:
    """Search in the record instead of the engine, for one process."""

    def __init__(
        self, record: Record, columns: Columns | None = None, most: int = MOST_ROWS
    ) -> None:
        """Prepare the search. `most`: largest generation, in rows, that is held; 0: none is."""
        self._most = most
        self._record = record
        self._columns = columns or Columns(record)

    async def rows(
        self, generation: Generation, condition: Filter, wanted: int
    ) -> RecordCopy | None:
        """Return every row that passes, and perhaps others, in a state that holds the write
        `wanted`.

        Return None if that write waits for a vector. Raise IndexUnavailable if they are too many.
        """
        snapshot = await self._record.generation_snapshot(
            generation.catalog_id, generation.space, generation.name
        )
        if snapshot is None:  # dropped meanwhile
            raise IndexUnavailable
        freshness = snapshot.record
        if freshness.seq < wanted:
            return None
        for part in indexed_parts(condition)[:MAX_TRIED]:
            found = await self._record.matching_rows(generation, condition, part, MOST_MATCHES)
            if found is not None:
                return RecordCopy(found, freshness)
        held = None
        if self._most:
            # No other source is left, and the caller's deadline limits the wait.
            held = await self._columns.vectors(generation, self._most, wait=True)
        if held is None:
            raise IndexUnavailable
        return RecordCopy(held[1], freshness)
