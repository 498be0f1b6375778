"""What answers a search when the engine does not: the record, exactly, where it is small enough.

The vectors of a generation of up to `most` rows are read once and held while the engine is lost: at
1,280 dimensions 10,000 rows are 51 MB. In a larger one a search is answered only where a part of
its filter that the record has an index for leaves few rows. docs/engines.md has what was measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retriever.model import Floats, Freshness, Generation, IndexUnavailable, Metric
from retriever.nearest import Haul, compare
from retriever.planning import MAX_TRIED, MOST_SURVIVORS, Survivors, indexed_parts
from retriever.ports import SearchRecord
from sightline_rules.filters import Filter

MOST_ROWS = 10_000
"""Rows of a generation, at most, that are held."""
MOST_COPIES = 4
"""Generations whose rows are held at a time."""
RENEW_SECONDS = 1.0
"""How old rows may be before they are read again, where the record was written to since."""
OLDEST_SECONDS = 5.0
"""How old they may be while that is being done."""
COUNT_SECONDS = 10.0
"""How long a generation counts as too large before it is counted again."""
FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class Copy:
    """Rows as they stand in the record."""

    rows: Survivors
    lengths: Floats
    """Of each row's vector."""
    freshness: Freshness
    """Of these rows: they hold every write but those whose photos wait for a vector."""

    @property
    def words(self) -> str:
        """What an answer rests on, for people."""
        return f"exact comparison with {len(self.rows.keys)} vectors of the record"

    async def look(self, vectors: Sequence[Floats], metric: Metric, limit: int) -> Haul:
        """The `limit` rows nearest to any of the vectors."""
        near = await asyncio.to_thread(best, self, vectors, metric, limit)
        hits = compare(near, vectors, metric)
        count = len(self.rows.keys)
        return Haul(hits, complete=len(hits) >= count, survivors=count)


def best(copy: Copy, vectors: Sequence[Floats], metric: Metric, limit: int) -> Survivors:
    """The `limit` rows nearest to any of the vectors, in no order.

    By float32, which may take one row for another that is as near to seven digits.
    """
    rows = copy.rows
    if len(rows.keys) <= limit:
        return rows
    queries = np.stack(vectors).astype(np.float32)
    scores = queries @ rows.vectors.T
    if metric is Metric.COSINE:
        scores /= copy.lengths * np.linalg.norm(queries, axis=1)[:, None]
    elif metric is Metric.L2:
        scores = 2 * scores - copy.lengths**2 - (queries**2).sum(axis=1)[:, None]
    places = np.argpartition(-scores.max(axis=0), limit - 1)[:limit]
    return Survivors([rows.keys[place] for place in places], rows.vectors[places])


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a generation."""

    copy: Copy | None
    """None = too many rows."""
    begun: float
    """By the clock."""


class Standin:
    """The record in the engine's place, for the searches of one process."""

    def __init__(
        self,
        record: SearchRecord,
        most: int = MOST_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most`: rows of a generation, at most, that are held; 0 = none are."""
        self._most = most
        self._record = record
        self._clock = clock
        self._held: dict[str, _Read] = {}
        """By collection, that last which was needed last."""
        self._reading: dict[str, asyncio.Task[_Read]] = {}

    async def rows(self, generation: Generation, condition: Filter, wanted: int) -> Copy | None:
        """Every row that passes, and perhaps others, in a state that holds the write `wanted`.

        None = that write waits for a vector. Raises IndexUnavailable when there are too many.
        """
        freshness = await self._freshness(generation)
        if freshness.seq < wanted:
            return None
        # A table of their own holds the vectors of products, and no index leads from here to it.
        parts = [] if generation.of_products else indexed_parts(condition)[:MAX_TRIED]
        for part in parts:
            found = await self._record.survivors(generation, condition, part, MOST_SURVIVORS)
            if found is not None:
                return await _copy(found, freshness)
        copy = await self._whole(generation, freshness, wanted) if self._most else None
        if copy is None:
            raise IndexUnavailable
        return copy

    def forget(self, generation: Generation) -> None:
        """Hold its rows no longer."""
        self._held.pop(generation.collection, None)

    async def _whole(
        self, generation: Generation, freshness: Freshness, wanted: int
    ) -> Copy | None:
        held = self._held.pop(generation.collection, None)
        if held is None or not self._serves(held, freshness, wanted):
            held = await self._read_once(generation)
            if not self._serves(held, freshness, wanted):
                # Another search had begun to read before that write.
                held = await self._read_once(generation)
        elif self._is_old(held, freshness):
            self._begin(generation)
        self._held[generation.collection] = held
        if len(self._held) > MOST_COPIES:
            del self._held[next(iter(self._held))]
        return held.copy

    def _serves(self, held: _Read, now: Freshness, wanted: int) -> bool:
        """Whether a search may use what was read. `now`: of the record."""
        age = self._clock() - held.begun
        if held.copy is None:
            return age < COUNT_SECONDS
        before = held.copy.freshness
        return before.head == now.head or (age < OLDEST_SECONDS and before.seq >= wanted)

    def _is_old(self, held: _Read, now: Freshness) -> bool:
        changed = held.copy is not None and held.copy.freshness.head != now.head
        return changed and self._clock() - held.begun > RENEW_SECONDS

    async def _read_once(self, generation: Generation) -> _Read:
        """One reading for all who need it; it goes on when they have given up."""
        return await asyncio.shield(self._begin(generation))

    def _begin(self, generation: Generation) -> asyncio.Task[_Read]:
        key = generation.collection
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(generation))
            task.add_done_callback(lambda done: self._end(key, done))
        return task

    def _end(self, key: str, task: asyncio.Task[_Read]) -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # told to those who wait; when nobody does, the next search tries

    async def _read(self, generation: Generation) -> _Read:
        begun = self._clock()
        freshness = await self._freshness(generation)
        rows = await self._record.all_rows(generation, self._most)
        copy = None if rows is None else await _copy(rows, freshness)
        read = _Read(copy, begun)
        if generation.collection in self._held:
            self._held[generation.collection] = read
        return read

    async def _freshness(self, generation: Generation) -> Freshness:
        """Of the record itself, whatever the engine holds."""
        whole = replace(generation, applied_seq=FOREVER, applied_time=FOREVER)
        return await self._record.freshness(whole)


async def _copy(rows: Survivors, freshness: Freshness) -> Copy:
    lengths = await asyncio.to_thread(np.linalg.norm, rows.vectors, axis=1)
    return Copy(rows, np.asarray(lengths, dtype=np.float32), freshness)
