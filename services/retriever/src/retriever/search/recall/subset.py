"""An exact check of a search against a random subset of the generation's rows.

See domain/recall.py for the estimate over such checks.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Self

import numpy as np

from retriever.columns.products import each_passes
from retriever.domain.generation import Generation, VectorMetric
from retriever.domain.index_values import IndexRow
from retriever.domain.recall import Look
from retriever.domain.vectors import Floats, exact_scores
from retriever.record import Record
from retriever.search.nearest import Nearest
from sightline_rules.facts import Facts
from sightline_rules.filters import Filter

PAGE = 250
"""Rows read at a time."""
SUBSET_BYTES = 16 * 2**20
"""Vectors of one subset, at most."""
SHARE_ROWS = 256
"""Rows for estimating the share that a filter passes, if the plan did not estimate it."""
MOST_CHECKED = 64
"""Maximum number of rows that one check reads again from the record."""
EQUAL = 1e-5
"""Similarities that differ by less are equal: of unit vectors; of others by their squares."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Some of a generation's rows, in random order, as the index holds them."""

    row_ids: tuple[str, ...]
    product_ids: tuple[str, ...]
    seqs: tuple[int, ...]
    facts: tuple[Facts, ...]
    vectors: Floats
    """Row ids, one for each row."""
    read: float
    """Monotonic seconds."""

    @classmethod
    def of(cls, rows: Sequence[IndexRow], dimension: int, read: float) -> Self:
        """Return the subset of some rows."""
        return cls(
            tuple(row.row_id for row in rows),
            tuple(row.product_id for row in rows),
            tuple(row.seq for row in rows),
            tuple(row.facts for row in rows),
            np.array([row.vector for row in rows], np.float32).reshape(len(rows), dimension),
            read,
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """An answered search to check."""

    nearest: Nearest
    top_k: int
    seq: int
    """The newest write that the generation held in full."""
    time: float
    """Monotonic seconds."""


async def read_subset(
    seen: Seen, start: str, rows: int, record: Record, clock: Callable[[], float]
) -> Subset:
    """Read the `rows` rows after a row id, fewer where vectors are large: those that the index held
    when it was searched.

    Ids are hashes, so they are a random sample.
    """
    made = seen.nearest.generation
    size = max(1, min(rows, SUBSET_BYTES // (4 * made.dimension)))
    found = [
        row
        async for page in pages(made, start, size, record)
        for row in page
        if row.seq <= seen.seq
    ]
    return Subset.of(found, made.dimension, clock())


async def compare(seen: Seen, subset: Subset, record: Record, chance: random.Random) -> Look:
    """Return the recall of a search on a subset."""
    nearest, k = seen.nearest, seen.top_k
    hits = nearest.last.hits
    # Fewer than were asked for: all that pass should be there.
    least = hits[k - 1].similarity if len(hits) >= k else -np.inf
    metric = nearest.generation.parameters.metric
    nearer = await asyncio.to_thread(_nearer, subset.vectors, nearest.vectors, metric, least)
    passing = await each_passes(
        nearest.condition, (subset.facts[place] for place in nearer), len(nearer)
    )
    due = list(compress(nearer, passing))
    if len(due) > MOST_CHECKED:
        due = chance.sample(due, MOST_CHECKED)
    names = list({subset.product_ids[place] for place in due})
    rows = await record.rows(nearest.generation, names) if names else []
    present = {row.row_id: row.seq for row in rows}
    due = [place for place in due if present.get(subset.row_ids[place]) == subset.seqs[place]]
    answered = {hit.row_id for hit in hits}
    found = sum(subset.row_ids[place] in answered for place in due)
    return Look(tuple(_number(subset.row_ids[place]) for place in due), found, k, seen.time)


async def passing_share(subset: Subset, condition: Filter) -> float:
    """Return the share of rows that a filter passes, 0 to 1."""
    facts = subset.facts[:SHARE_ROWS]
    return sum(await each_passes(condition, facts, len(facts))) / max(1, len(facts))


def _nearer(
    vectors: Floats, queries: Sequence[Floats], metric: VectorMetric, least: float
) -> Sequence[int]:
    """Return the places of rows that are nearer than `least` to a query, by more than rounding."""
    if not len(vectors):
        return []
    asked = np.stack(queries)
    scores = exact_scores(asked, vectors, metric).max(axis=0)
    slack: float | np.ndarray[tuple[int], np.dtype[np.float64]] = EQUAL
    if metric is not VectorMetric.COSINE:
        squares = np.square(vectors, dtype=np.float64).sum(axis=1)
        slack = EQUAL * (squares + np.square(asked, dtype=np.float64).sum(axis=1).max()) / 2
    return [int(place) for place in np.flatnonzero(scores > least + slack)]


async def pages(
    generation: Generation, start: str, size: int, record: Record
) -> AsyncIterator[list[IndexRow]]:
    """Yield the `size` rows after a row id, wrapping around at the end."""
    for begin, last in ((start, "g"), ("", start)):  # ids are hexadecimal: all stand before "g"
        after, more = begin, True
        while more and size > 0:
            wanted = min(PAGE, size)
            page = await record.row_page(generation, after, wanted)
            rows = [row for row in page if row.row_id <= last]
            yield rows
            size -= len(rows)
            more = len(rows) == wanted
            after = page[-1].row_id if page else after


def _number(row_id: str) -> int:
    """Return a row's id as a number, which takes less memory."""
    return int(row_id[:15], 16)
