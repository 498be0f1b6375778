"""The worker's part of a roll-out: backfill a generation; clean up after a dropped one.

Both run in steps, one transaction each, so that they continue after a kill. A backfill only makes
photos pending; the worker embeds them as it embeds all others, and live writes go on meanwhile.
"""

import asyncio
import time
from typing import Any

from retriever.domain.collection_names import in_every_shape
from retriever.domain.errors import GenerationNotFound
from retriever.domain.generation import Backlog, Generation
from retriever.indexing.generations import GenerationPlan
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.telemetry import get_logger

WANT = 1_000
"""Photos scanned in one transaction."""
FORGET = 1_000
"""Vectors or waiting photos deleted in one transaction."""
LOOK_SECONDS = 0.5
"""Seconds between checks of a backfill's progress, which also renew its claim."""
SEARCHES_END_SECONDS = 10.0
"""Seconds for which a dropped generation's collection stays for searches under way."""

log = get_logger()


async def backfill(job: Job, record: Record, jobs: Jobs) -> dict[str, Any]:
    """Run a job of this kind and return its result. Raise JobCancelled after deleting the items
    that only it waits for; GenerationNotFound if the generation is dropped meanwhile; JobClaimLost.
    """
    name = job.given(GenerationPlan).generation
    generation = await record.find_generation(job.catalog_id, name)
    try:
        if job.attempts == 1:
            await record.retry_failed(generation)
        total = await _want_all(job, generation, record, jobs)
        backlog = await _await_vectors(job, generation, total, record, jobs)
        await _await_index(job, generation, total, record, jobs)
    except JobCancelled:
        await take_back(generation, record)
        raise
    await record.end_backfill(generation)
    log.info("backfill done", generation=generation.name, failing=backlog.troubled)
    return {"photo_count": total, "failing_count": backlog.troubled}


async def take_back(generation: Generation, record: Record) -> None:
    """Delete pending items that only the backfill waits for."""
    while await record.take_back(generation, FORGET):
        pass


async def _want_all(job: Job, generation: Generation, record: Record, jobs: Jobs) -> int:
    """Make the items that the generation lacks pending. Return the number of all photos."""
    total = await record.photo_count(generation)
    await jobs.progress(job, job.done, total)
    after: str | None = ""
    while after is not None:
        after = await record.enqueue_missing(generation, after, WANT)
        await jobs.progress(job, job.done, total)
    return total


async def _await_vectors(
    job: Job, generation: Generation, total: int, record: Record, jobs: Jobs
) -> Backlog:
    """Wait until every photo is embedded or has failed for good. Return the backlog."""
    while True:
        backlog = await record.backlog(generation)
        await jobs.progress(job, max(0, total - backlog.waiting), total)
        if not backlog.waiting:
            return backlog
        await asyncio.sleep(LOOK_SECONDS)
        generation = await record.find_generation(generation.catalog_id, generation.name)


async def _await_index(
    job: Job, generation: Generation, total: int, record: Record, jobs: Jobs
) -> None:
    """Wait until the collection holds every vector of the record's present head."""
    wanted = (await record.freshness(generation)).head
    while True:
        generation = await record.find_generation(generation.catalog_id, generation.name)
        if generation.applied_seq >= wanted and not generation.check_wanted:
            return
        fresh = await record.freshness(generation)
        if not generation.check_wanted and fresh.seq >= wanted:
            return
        await jobs.progress(job, total, total)
        await asyncio.sleep(LOOK_SECONDS)


async def clear(job: Job, record: Record, index: VectorIndex, jobs: Jobs) -> dict[str, Any]:
    """Delete what a dropped generation leaves: its collection, and vectors that no other one has.

    Raises JobCancelled, JobClaimLost, IndexUnavailable: what is deleted stays so.
    """
    generation = await _dropped(job.catalog_id, job.given(GenerationPlan).generation, record)
    end = time.monotonic() + SEARCHES_END_SECONDS
    while time.monotonic() < end:
        await jobs.progress(job, job.done, 0)
        await asyncio.sleep(LOOK_SECONDS)
    for collection in in_every_shape(generation.collection):
        await index.drop(collection)
    done = job.done
    while deleted := await record.discard(generation, FORGET):
        done += deleted
        await jobs.progress(job, done, 0)
        # SQLite does not queue the writers of several processes: the others would starve.
        await asyncio.sleep(0.01)
    log.info("generation cleared", generation=generation.name, deleted=done)
    return {"deleted_count": done}


async def _dropped(catalog_id: str, name: str, record: Record) -> Generation:
    for generation in await record.history(catalog_id):
        if generation.name == name:
            return generation
    raise GenerationNotFound
