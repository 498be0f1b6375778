"""How the index follows the record: apply the outbox, reconcile.

Each use case is one step that can die at any point: the record says afterwards what is left to do,
and doing a step twice leaves the same index. One process at a time runs them (`Leader`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from retriever.adapters.milvus import filters
from retriever.domain.model import (
    TEXT_SPACE,
    CollectionAbsent,
    CollectionReleased,
    CollectionState,
    EmbeddingSpace,
    Generation,
    GenerationState,
    IndexRefused,
    IndexRow,
    IndexUnavailable,
)
from retriever.ports.all import IndexRecord, Leader, VectorIndex
from servicekit.telemetry import get_logger

APPLY_CHANGES = 500
"""Outbox entries of one step."""
READ_PRODUCTS = 256
"""Products whose rows are read at a time: 26 MB when each has 20 photos of 1,280 dimensions."""
UPSERT_ROWS = 256
"""Rows of one call: 1.3 MB of vectors at 1,280 dimensions."""
DELETE_ROWS = 1_000
SCAN_ROWS = 4_000
"""Rows that one step of a reconciliation compares, about."""
ID_BITS = 128

T = TypeVar("T")

log = get_logger()


class LeadershipLost(Exception):
    """Another process may write to the index now: stop at once."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How the index differed from the record."""

    upserted: int = 0
    """Rows that were missing or of an older state."""
    deleted: int = 0
    """Rows that the record does not know."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one step through the outbox did."""

    generation: Generation
    """As it is after that."""
    rows: int = 0
    """Rows written or deleted."""
    more: bool = False
    """Whether there may be more changes already."""


# Generations


async def ensure_generation(
    catalog_id: str, space: EmbeddingSpace, prefix: str, record: IndexRecord
) -> None:
    """Make the first generation of a space that has none at all; it is active at once.

    Later ones are made by an operator, who rolls a new version out.
    """
    if any(each.space == space.space for each in await record.generations(catalog_id)):
        return
    name = f"{space.space}-{space.version[:12]}-1"
    made = await record.create_generation(
        Generation(
            catalog_id=catalog_id,
            name=name,
            space=space.space,
            space_version=space.version,
            dimension=space.dimension,
            collection=collection_of(prefix, catalog_id, space, name),
            state=GenerationState.READY,
            active=True,
            created=0,
            applied_seq=0,
            applied_time=0,
            check_wanted=True,
            of_products=space.space == TEXT_SPACE,
        )
    )
    log.info("generation created", generation=made.name, dimension=made.dimension)


def collection_of(prefix: str, catalog_id: str, space: EmbeddingSpace, name: str) -> str:
    """The name of a new generation's collection: no two have the same, nor had."""
    key = hashlib.sha256(f"{catalog_id}/{name}/{space.version}".encode()).hexdigest()[:16]
    return filters.shaped(f"{prefix}_{space.space}_{key}")


async def open_collection(generation: Generation, index: VectorIndex) -> bool:
    """Make sure that the collection exists and is in memory; whether it already was."""
    match await index.state(generation.collection):
        case CollectionState.LOADED:
            return True
        case CollectionState.RELEASED:
            await index.load(generation.collection)
        case CollectionState.ABSENT:
            await index.create(generation.collection, generation.dimension, generation.parameters)
    return False


def has_present_shape(generation: Generation) -> bool:
    """Whether the generation's collection has the columns that filters are compiled for now."""
    return generation.collection == filters.shaped(generation.collection)


async def reshape(
    generation: Generation, record: IndexRecord, index: VectorIndex, leader: Leader
) -> Generation:
    """The generation with a collection of the present shape.

    One of an older shape is searched on until a new one holds all that it held; no photo is
    embedded again. The outbox must not be applied meanwhile: what comes in waits in it. The old
    collection stays for searches that are under way, until `drop_former`.
    """
    if has_present_shape(generation):
        return generation
    wanted = filters.shaped(generation.collection)
    made = replace(generation, collection=wanted)
    await open_collection(made, index)
    drift = await reconcile(made, record, index, leader)
    await index.flush(wanted)
    await record.mark(generation, collection=wanted)
    log.info("collection reshaped", generation=made.name, collection=wanted, rows=drift.upserted)
    return made


async def drop_former(generation: Generation, index: VectorIndex) -> None:
    """Drop what earlier shapes of the generation's collection left in the engine."""
    for shape in range(1, filters.shape_of(generation.collection)):
        former = filters.shaped(generation.collection, shape)
        if await index.state(former) is not CollectionState.ABSENT:
            await index.drop(former)
            log.info("former collection dropped", generation=generation.name, collection=former)


# The outbox


async def apply_outbox(
    generation: Generation, record: IndexRecord, index: VectorIndex, leader: Leader
) -> Applied:
    """Bring the oldest changes into the index.

    What is written is the record's present state, so entries may be applied twice and in one go.
    """
    changes = await record.changes(generation, APPLY_CHANGES)
    if not changes:
        return Applied(generation)
    removed: dict[str, set[str]] = {}
    for change in changes:
        removed.setdefault(change.product_id, set()).update(change.removed)
    written = 0
    # Some at a time: one photo may be every product's.
    for product_ids in _batches(list(removed), READ_PRODUCTS):
        # Others are there already, as when another generation got a vector of the product.
        changed = await record.rows(generation, product_ids, after=generation.applied_seq)
        # What some change took away and no later one brought back.
        lost = [name for name in product_ids if removed[name]]
        left = {row.row_id for row in await record.rows(generation, lost)} if lost else set()
        gone = set().union(*map(removed.__getitem__, lost)) - left
        await _delete(generation, sorted(gone), index, leader)
        await _upsert(generation, changed, index, leader)
        written += len(changed) + len(gone)
    advanced = await record.advance(generation, changes[-1])
    return Applied(advanced, written, len(changes) >= APPLY_CHANGES)


async def _upsert(
    generation: Generation, rows: Sequence[IndexRow], index: VectorIndex, leader: Leader
) -> None:
    for chunk in _batches(rows, UPSERT_ROWS):
        try:
            async with _leading(leader):
                await index.upsert(generation.collection, chunk, generation.parameters)
        except IndexRefused:
            if len(chunk) == 1:
                # It stays out of the index until it changes; nothing behind it has to wait.
                log.warning("row refused by the engine", row_id=chunk[0].row_id)
                continue
            half = len(chunk) // 2
            await _upsert(generation, chunk[:half], index, leader)
            await _upsert(generation, chunk[half:], index, leader)


async def _delete(
    generation: Generation, row_ids: Sequence[str], index: VectorIndex, leader: Leader
) -> None:
    for chunk in _batches(row_ids, DELETE_ROWS):
        async with _leading(leader):
            await index.delete(generation.collection, chunk)


@asynccontextmanager
async def _leading(leader: Leader) -> AsyncIterator[None]:
    """Lets a call to the engine last as long as no other process may write."""
    left = leader.left()
    if left <= 0:
        raise LeadershipLost
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError as error:
        raise LeadershipLost from error


# Reconciliation


async def reconcile(
    generation: Generation, record: IndexRecord, index: VectorIndex, leader: Leader
) -> Drift:
    """Make the index hold exactly what the record says, range by range of the row ids.

    Row ids are hashes, so ranges of equal width hold about equally many rows. Run it when the
    outbox has been applied: what is found then was lost by the engine.
    """
    await record.mark(generation, check_wanted=False)
    upserted = deleted = 0
    async for low, high, held in _ranges(generation, index):
        expected = await record.expected(generation, low, high)
        extra = [row_id for row_id in held if row_id not in expected]
        stale = {
            product_id for row_id, (seq, product_id) in expected.items() if held.get(row_id) != seq
        }
        wrong = sum(held.get(row_id) != seq for row_id, (seq, _) in expected.items())
        await _delete(generation, extra, index, leader)
        for product_ids in _batches(sorted(stale), UPSERT_ROWS):
            rows = await record.rows(generation, product_ids)
            await _upsert(generation, rows, index, leader)
        upserted, deleted = upserted + wrong, deleted + len(extra)
    return Drift(upserted, deleted)


async def _ranges(
    generation: Generation, index: VectorIndex
) -> AsyncIterator[tuple[str, str, dict[str, int]]]:
    """What the index holds, as (low, high, row id → seq) with low ≤ id < high."""
    count = await index.count(generation.collection)
    parts = max(1, -(-count // SCAN_ROWS))
    bounds = [_bound(part, parts) for part in range(parts)] + ["g"]
    for low, high in pairwise(bounds):
        async for found in _scan(generation, low, high, index):
            yield found


def _bound(part: int, parts: int) -> str:
    return "0" if part == 0 else f"{part * 2**ID_BITS // parts:032x}"


async def _scan(
    generation: Generation, low: str, high: str, index: VectorIndex
) -> AsyncIterator[tuple[str, str, dict[str, int]]]:
    """One range, halved as long as it is too full for one answer."""
    held = await index.scan(generation.collection, low, high)
    if held is not None:
        yield low, high, held
        return
    start = int(low.ljust(32, "0"), 16)
    end = 2**ID_BITS if high == "g" else int(high, 16)
    middle = f"{(start + end) // 2:032x}"
    for part in ((low, middle), (middle, high)):
        async for found in _scan(generation, *part, index):
            yield found


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


LOST = (IndexUnavailable, CollectionAbsent, CollectionReleased)
"""What a call to the engine raises when it has gone or was started anew."""
