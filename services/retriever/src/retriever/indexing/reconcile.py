"""Reconciliation: compare the index with the record and write differing rows again."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import pairwise

from retriever.domain.generation import Generation, GenerationState
from retriever.indexing.backfill import WANT
from retriever.indexing.outbox import UPSERT_ROWS, batches, delete_rows, upsert_rows
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from servicekit.sql.leases import Lease

SCAN_ROWS = 4_000
"""Rows that one step of a reconciliation compares, about."""
ID_BITS = 128
SHOWN_SECONDS = 10.0
"""Searches of a server or cluster are behind by less than that, unless it does not answer."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Differences between the index and the record."""

    upserted: int = 0
    """Rows that were missing or of an older state."""
    deleted: int = 0
    """Rows that the record does not know."""


async def reconcile(
    generation: Generation, record: Record, index: VectorIndex, leader: Lease
) -> Drift:
    """Make the index equal to the record, range by range of the row ids.

    Row ids are hashes, so ranges of equal width hold about equally many rows. Run it after the
    outbox has been applied: remaining differences were caused by the engine.
    """
    if generation.check_wanted and generation.state is GenerationState.READY:
        await _want_missing(generation, record)  # before `mark`: repeated if it is interrupted
    await record.mark(generation, check_wanted=False)
    upserted = deleted = 0
    async for low, high, held in _ranges(generation, index):
        expected = await record.expected(generation, low, high)
        extra = [row_id for row_id in held if row_id not in expected]
        stale = {
            product_id for row_id, (seq, product_id) in expected.items() if held.get(row_id) != seq
        }
        wrong = sum(held.get(row_id) != seq for row_id, (seq, _) in expected.items())
        await delete_rows(generation, extra, index, leader)
        for product_ids in batches(sorted(stale), UPSERT_ROWS):
            rows = await record.rows(generation, product_ids)
            await upsert_rows(generation, rows, index, leader)
        upserted, deleted = upserted + wrong, deleted + len(extra)
    if upserted:
        await _shown(generation.collection, index)
    return Drift(upserted, deleted)


async def _want_missing(generation: Generation, record: Record) -> None:
    """Make photos pending that lack a vector: those of a catalog that was filled before its first
    generation existed are too many for one transaction. No backfill is to follow there."""
    after: str | None = ""
    while after is not None:
        after = await record.enqueue_missing(generation, after, WANT, backfill=False)


async def _shown(collection: str, index: VectorIndex) -> None:
    """Wait until searches, which may lag, find the written rows; at most SHOWN_SECONDS."""
    held = await index.count(collection)
    with suppress(TimeoutError):
        async with asyncio.timeout(SHOWN_SECONDS):
            while await index.count(collection, latest=False) < held:  # noqa: ASYNC110
                await asyncio.sleep(SHOWN_SECONDS / 100)


async def _ranges(
    generation: Generation, index: VectorIndex
) -> AsyncIterator[tuple[str, str, dict[str, int]]]:
    """Yield the index's rows as (low, high, row id → seq) with low ≤ id < high."""
    count = await index.count(generation.collection)
    parts = max(1, -(-count // SCAN_ROWS))
    bounds = [_bound(part, parts) for part in range(parts)] + ["g"]
    for low, high in pairwise(bounds):
        async with aclosing(_scan(generation, low, high, index)) as ranges:
            async for found in ranges:
                yield found


def _bound(part: int, parts: int) -> str:
    return "0" if part == 0 else f"{part * 2**ID_BITS // parts:032x}"


async def _scan(
    generation: Generation, low: str, high: str, index: VectorIndex
) -> AsyncGenerator[tuple[str, str, dict[str, int]], None]:
    """Yield the rows of a range, halved while it is too full for one answer."""
    held = await index.scan(generation.collection, low, high)
    if held is not None:
        yield low, high, held
        return
    start = int(low.ljust(32, "0"), 16)
    end = 2**ID_BITS if high == "g" else int(high, 16)
    middle = f"{(start + end) // 2:032x}"
    for part in ((low, middle), (middle, high)):
        async with aclosing(_scan(generation, *part, index)) as ranges:
            async for found in ranges:
                yield found
