"""Application of the outbox: the record's changes, applied to the index in order.

A step can be killed at any point: the record holds the remaining work, and steps are idempotent.
One process at a time runs them (`Lease`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from retriever.domain import errors
from retriever.domain.generation import Generation
from retriever.domain.index_values import IndexRow
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from servicekit.sql.leases import Lease, LeaseLost
from servicekit.telemetry import get_logger

APPLY_CHANGES = 500
"""Outbox entries of one step."""
READ_PRODUCTS = 256
"""Products whose rows are read at a time: 26 MB when each has 20 photos of 1,280 dimensions."""
UPSERT_ROWS = 256
"""Rows of one call: 1.3 MB of vectors at 1,280 dimensions."""
DELETE_ROWS = 1_000
LOST = (errors.IndexUnavailable, errors.CollectionAbsent, errors.CollectionReleased)
"""Errors of a call to an engine that is lost or was restarted."""

T = TypeVar("T")

log = get_logger()


@dataclass(frozen=True, slots=True)
class Applied:
    """Result of one step through the outbox."""

    generation: Generation
    """As it is after that."""
    rows: int = 0
    """Rows written or deleted."""
    more: bool = False
    """True if there may be more changes already."""


async def apply_outbox(
    generation: Generation, record: Record, index: VectorIndex, leader: Lease
) -> Applied:
    """Apply the oldest changes to the index. The record's current state is written, so entries may
    be applied twice or together.
    """
    changes = await record.changes(generation, APPLY_CHANGES)
    if not changes:
        return Applied(generation)
    removed: dict[str, set[str]] = {}
    for change in changes:
        removed.setdefault(change.product_id, set()).update(change.removed)
    written = 0
    # In batches: one photo may belong to every product.
    for product_ids in batches(list(removed), READ_PRODUCTS):
        # The other rows are up to date already.
        changed = await record.rows(generation, product_ids, after=generation.applied_seq)
        # Rows that a change removed and no later one added again.
        lost = [name for name in product_ids if removed[name]]
        left = {row.row_id for row in await record.rows(generation, lost)} if lost else set()
        gone = set().union(*map(removed.__getitem__, lost)) - left
        await delete_rows(generation, sorted(gone), index, leader)
        await upsert_rows(generation, changed, index, leader)
        written += len(changed) + len(gone)
    advanced = await record.advance(generation, changes[-1])
    return Applied(advanced, written, len(changes) >= APPLY_CHANGES)


# Rows into the engine and out of it, while this process leads


async def upsert_rows(
    generation: Generation, rows: Sequence[IndexRow], index: VectorIndex, leader: Lease
) -> None:
    for chunk in batches(rows, UPSERT_ROWS):
        try:
            async with leading(leader):
                await index.upsert(generation.collection, chunk, generation.parameters)
        except errors.IndexRefused:
            if len(chunk) == 1:
                # The row stays out of the index until it changes, so that later changes are
                # applied.
                log.warning("row rejected by the engine", row_id=chunk[0].row_id)
                continue
            half = len(chunk) // 2
            await upsert_rows(generation, chunk[:half], index, leader)
            await upsert_rows(generation, chunk[half:], index, leader)


async def delete_rows(
    generation: Generation, row_ids: Sequence[str], index: VectorIndex, leader: Lease
) -> None:
    for chunk in batches(row_ids, DELETE_ROWS):
        async with leading(leader):
            await index.delete(generation.collection, chunk)


@asynccontextmanager
async def leading(leader: Lease) -> AsyncIterator[None]:
    """Cancel the body when another process may write. Raise LeaseLost."""
    left = leader.left()
    if left <= 0:
        raise LeaseLost
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError as error:
        raise LeaseLost from error


def batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
