"""How the index follows the record: embed what is pending, apply the outbox, reconcile.

Each use case is one step that can die at any point: the record says afterwards what is left to do,
and doing a step twice leaves the same index. One process at a time runs them (`Leader`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from retriever import filters
from retriever.model import (
    MAX_ATTEMPTS,
    TEXT_SPACE,
    CategoryPath,
    Classification,
    CollectionAbsent,
    CollectionReleased,
    CollectionState,
    EmbedderUnavailable,
    EmbeddingSpace,
    Floats,
    Generation,
    GenerationState,
    GivenVector,
    ImageDamaged,
    ImageNotFound,
    IndexRefused,
    IndexRow,
    IndexUnavailable,
    Pending,
    PhotosUnavailable,
    VectorInvalid,
    VectorWrite,
    VersionMismatch,
)
from retriever.ports import Embedder, IndexRecord, Leader, Photos, VectorIndex
from retriever.texts import digest_of
from retriever.vectors import check_vector
from servicekit.errors import InvalidArgument, ServiceError
from servicekit.telemetry import get_logger

APPLY_CHANGES = 500
"""Outbox entries of one step."""
READ_PRODUCTS = 256
"""Products whose rows are read at a time: 26 MB when each has 20 photos of 1,280 dimensions."""
UPSERT_ROWS = 256
"""Rows of one call: 1.3 MB of vectors at 1,280 dimensions."""
DELETE_ROWS = 1_000
EMBED_BYTES = 16 * 2**20
"""Photos of one call to the embedder, well below gRPC's 32 MiB."""
FIRST_RETRY = 1.0
LONGEST_RETRY = 300.0
"""Seconds."""
SCAN_ROWS = 4_000
"""Rows that one step of a reconciliation compares, about."""
ID_BITS = 128

T = TypeVar("T")

log = get_logger()


class LeadershipLost(Exception):
    """Another process may write to the index now: stop at once."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What one step of embedding did."""

    stored: int = 0
    failed: int = 0
    """Photos that are given up or tried again later."""


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


# Embedding


async def embed_pending(
    generation: Generation,
    record: IndexRecord,
    photos: Photos,
    embedder: Embedder,
    batch: int,
    *,
    known: frozenset[CategoryPath] = frozenset(),
) -> Embedded:
    """Embed the photos, or the products' texts, that are due, one call's worth.

    `known`: the categories that the version's head tells apart; photos that contradict those of
    their products are noted.

    Raises EmbedderUnavailable when the embedder does not answer: these then wait and go one by one,
    so that one that brings the embedder down holds up no other. Raises VersionMismatch when the
    embedder's version is not the generation's any more: they stay pending.
    """
    due = await record.due(generation, batch)
    if generation.of_texts:
        loaded, failed = await _texts(generation, _affordable(due), record), 0
    else:
        loaded, failed = await _photos(generation, due, record, photos)
    if not loaded:
        return Embedded(0, failed)
    try:
        data = [content for _, content in loaded]
        results = await _embed(generation, data, embedder, classify=bool(known))
    except EmbedderUnavailable:
        await _retry_later(generation, [item for item, _ in loaded], record, "EMBEDDER_UNAVAILABLE")
        raise
    writes: list[VectorWrite] = []
    told: dict[str, Classification] = {}
    for (item, content), result in zip(loaded, results, strict=True):
        if isinstance(result, ServiceError):
            failed += 1
            await _note_failure(generation, item, result, record)
        elif isinstance(content, str):
            writes.append(VectorWrite("", result.vector, item.item_id, digest_of(content)))
        else:
            writes.append(VectorWrite(item.item_id, result.vector))
            if result.told is not None:
                told[item.item_id] = result.told
    if told:
        # First: a photo that has its vector is not looked at again.
        await record.judge(generation, told, known)
    if writes:
        await record.save_vectors(generation, writes)
    return Embedded(len(writes), failed)


def _affordable(items: Sequence[Pending]) -> list[Pending]:
    """As many as fit one call; one that failed before goes alone, so that it fails alone."""
    chosen: list[Pending] = []
    size = 0
    for item in items:
        if chosen and (item.attempts or size + item.size > EMBED_BYTES):
            break
        chosen.append(item)
        size += item.size
        if item.attempts:
            break
    return chosen


async def _texts(
    generation: Generation, items: Sequence[Pending], record: IndexRecord
) -> list[tuple[Pending, bytes | str]]:
    """The products' texts; those without one wait no more."""
    texts = await record.texts(generation, [item.item_id for item in items])
    blank = [item.item_id for item in items if not texts.get(item.item_id)]
    if blank:
        await record.drop_blank(generation, blank)
    return [(item, texts[item.item_id]) for item in items if texts.get(item.item_id)]


async def _photos(
    generation: Generation, due: Sequence[Pending], record: IndexRecord, photos: Photos
) -> tuple[list[tuple[Pending, bytes | str]], int]:
    """The photos' bytes, and how many have none (any more, or now).

    Raises PhotosUnavailable when none could be read; these photos then wait like all others.
    """
    unused = [item.item_id for item in due if not item.used]
    if unused:
        await record.forget(generation, unused)
    loaded: list[tuple[Pending, bytes | str]] = []
    failed, unreachable = 0, None
    for item in _affordable([item for item in due if item.used]):
        try:
            loaded.append((item, await photos.get(generation.catalog_id, item.item_id)))
        except (ImageNotFound, ImageDamaged) as error:
            failed += 1
            log.warning("photo lost", image_id=item.item_id, reason=error.reason)
            await record.give_up(generation, [item.item_id], error.reason)
        except PhotosUnavailable as error:
            failed, unreachable = failed + 1, error
            await _retry_later(generation, [item], record, error.reason)
    if unreachable is not None and not loaded:
        raise unreachable
    return loaded, failed


@dataclass(frozen=True, slots=True)
class Answered:
    """What the embedder made of a photo or text."""

    vector: Floats
    told: Classification | None
    """What the photo is of; None = it was not told."""


async def _embed(
    generation: Generation, data: Sequence[bytes | str], embedder: Embedder, *, classify: bool
) -> list[Answered | ServiceError]:
    """A vector of the generation's version, or an error, for each photo or text."""
    try:
        given = await embedder.embed(
            generation.catalog_id,
            generation.space,
            generation.space_version,
            data,
            classify=classify,
        )
    except EmbedderUnavailable:
        raise
    except ServiceError as error:
        return [error] * len(data)  # the call as a whole was refused
    if all(_is_down(result) for result in given):
        raise EmbedderUnavailable
    checked = [_checked(generation, result) for result in given]
    for result in checked:
        if isinstance(result, VersionMismatch):
            raise result
    return checked


def _is_down(result: GivenVector | ServiceError) -> bool:
    return isinstance(result, ServiceError) and result.reason == "EMBEDDER_UNAVAILABLE"


def _checked(generation: Generation, result: GivenVector | ServiceError) -> Answered | ServiceError:
    if isinstance(result, ServiceError):
        return result
    if result.space_version != generation.space_version:
        return VersionMismatch(result.space_version, generation.space_version)
    try:
        vector = check_vector(result, generation.dimension, "vector")
    except VectorInvalid as error:
        return error
    return Answered(vector, result.classification)


async def _note_failure(
    generation: Generation, item: Pending, error: ServiceError, record: IndexRecord
) -> None:
    """Leave what can never be embedded, or failed too often; else try it later."""
    hopeless = isinstance(error, InvalidArgument) and not isinstance(error, VectorInvalid)
    if hopeless or item.attempts + 1 >= MAX_ATTEMPTS:
        log.warning(
            "not embedded, given up", space=generation.space, item=item.item_id, reason=error.reason
        )
        await record.give_up(generation, [item.item_id], error.reason)
    else:
        await _retry_later(generation, [item], record, error.reason)


async def _retry_later(
    generation: Generation, items: Iterable[Pending], record: IndexRecord, reason: str
) -> None:
    for item in items:
        seconds = min(LONGEST_RETRY, FIRST_RETRY * 2.0**item.attempts)
        await record.postpone(generation, [item.item_id], seconds, reason)


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
        rows = await record.rows(generation, product_ids)
        # What some change took away and no later one brought back.
        gone = set().union(*map(removed.__getitem__, product_ids)) - {row.row_id for row in rows}
        await _delete(generation, sorted(gone), index, leader)
        # Others are there already, as when another generation got a vector of the product.
        changed = [row for row in rows if row.seq > generation.applied_seq]
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
