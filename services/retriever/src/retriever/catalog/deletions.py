"""Deletion of many products: purges, and products that a full import did not contain.

Both delete only products that were last written whole (by an upsert or an import) before they were
asked for: products written meanwhile stay. Deleting is a job, in batches, each a transaction: it
can be cancelled between two, and continues after a kill.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from retriever.domain.jobs import request_key
from retriever.domain.product import CatalogPart
from retriever.record import Record
from servicekit.jobs.queue import Job, Jobs
from sightline_rules.filters import Filter

PURGE = "purge"
CLOSE_IMPORT = "close_import"
KINDS = (PURGE, CLOSE_IMPORT)
SAMPLE = 20
LOOK = 2_000
"""Products scanned in one statement."""
BATCH = 500
"""Products scanned, and deleted if they pass, in one transaction."""
EVERYTHING = 2**63 - 1
"""A commit number that no write reaches."""


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """Parameters of a deletion."""

    before: int
    """Products that were written whole since this commit stay."""
    count: int
    """Number of products at the request."""
    filter: str = ""
    """Of a purge: the filter, serialized."""
    import_id: str = ""


@dataclass(frozen=True, slots=True)
class Purge:
    """The products that a deletion deletes, or would delete."""

    count: int
    sample: tuple[str, ...]
    job: Job | None


async def purge(
    catalog_id: str,
    condition: Filter,
    packed: str,
    record: Record,
    jobs: Jobs,
    *,
    force: bool,
    request_id: str,
) -> Purge:
    """Count the products that pass; with `force`, request a job that deletes them. `packed` is the
    serialized filter for the worker. A repeated `request_id` returns the existing job.
    """
    before = await record.commit_number(catalog_id) if force else EVERYTHING
    count, sample = await _count(catalog_id, condition, before, record)
    if not force:
        return Purge(count, sample, None)
    same = request_key(request_id, packed, hashed=True)
    plan = DeletionPlan(before, count, packed)
    return Purge(count, sample, await jobs.create(PURGE, catalog_id, plan, same))


async def delete(job: Job, condition: Filter, record: Record, jobs: Jobs) -> int:
    """Run a job of these kinds. Return the number of products deleted, including those of earlier
    attempts. Raise JobCancelled, JobClaimLost.
    """
    plan = job.given(DeletionPlan)
    before, total, done = plan.before, plan.count, 0
    if job.attempts > 1:
        left, _ = await _count(job.catalog_id, condition, before, record)
        done = max(0, total - left)
    await jobs.progress(job, done, total)
    async for deleted in sweep(job.catalog_id, condition, before, record):
        done += deleted
        await jobs.progress(job, done, max(done, total))
    return done


async def sweep(
    catalog_id: str, condition: Filter, before: int, record: Record
) -> AsyncIterator[int]:
    """Delete passing products that were last written whole before a commit. Yield the number for
    each batch."""
    after: tuple[int, str] | None = None
    while True:
        began = time.monotonic()
        swept = await record.sweep(catalog_id, CatalogPart(condition, before, after, BATCH))
        yield len(swept.product_ids)
        after = swept.after
        if after is None:
            return
        # SQLite does not queue the writers of several processes: the others would starve.
        await asyncio.sleep(time.monotonic() - began)


async def _count(
    catalog_id: str, condition: Filter, before: int, record: Record
) -> tuple[int, tuple[str, ...]]:
    """Return how many products pass, and some of them."""
    count, sample = 0, tuple[str, ...]()
    after: tuple[int, str] | None = None
    while True:
        found = await record.tally(catalog_id, CatalogPart(condition, before, after, LOOK))
        count, after = count + len(found.product_ids), found.after
        sample = (sample + found.product_ids)[:SAMPLE]
        if after is None:
            return count, sample
