"""Rows into the engine and out of it, while this process leads."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from retriever.domain import errors
from retriever.domain.generation import Generation
from retriever.domain.index_values import IndexRow
from retriever.ports.engine import VectorIndex
from retriever.ports.indexing import Leader
from servicekit.telemetry import get_logger

T = TypeVar("T")
log = get_logger()
UPSERT_ROWS = 256
"""Rows of one call: 1.3 MB of vectors at 1,280 dimensions."""
DELETE_ROWS = 1_000


class LeadershipLost(Exception):
    """Another process may write to the index now: stop at once."""


async def upsert_rows(
    generation: Generation, rows: Sequence[IndexRow], index: VectorIndex, leader: Leader
) -> None:
    for chunk in batches(rows, UPSERT_ROWS):
        try:
            async with leading(leader):
                await index.upsert(generation.collection, chunk, generation.parameters)
        except errors.IndexRefused:
            if len(chunk) == 1:
                # It stays out of the index until it changes; nothing behind it has to wait.
                log.warning("row refused by the engine", row_id=chunk[0].row_id)
                continue
            half = len(chunk) // 2
            await upsert_rows(generation, chunk[:half], index, leader)
            await upsert_rows(generation, chunk[half:], index, leader)


async def delete_rows(
    generation: Generation, row_ids: Sequence[str], index: VectorIndex, leader: Leader
) -> None:
    for chunk in batches(row_ids, DELETE_ROWS):
        async with leading(leader):
            await index.delete(generation.collection, chunk)


@asynccontextmanager
async def leading(leader: Leader) -> AsyncIterator[None]:
    """Lets a call to the engine last as long as no other process may write."""
    left = leader.left()
    if left <= 0:
        raise LeadershipLost
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError as error:
        raise LeadershipLost from error


def batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


LOST = (errors.IndexUnavailable, errors.CollectionAbsent, errors.CollectionReleased)
"""What a call to the engine raises when it has gone or was started anew."""
