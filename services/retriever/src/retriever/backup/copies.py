"""Copy of a catalog into a new one, as a job of the copied catalog.

The record is read at one commit, in one transaction, into temporary files; then photos, vectors and
products are written under the new catalog, which no call may use before all are there. After a kill
the job begins again with another commit: what an earlier attempt wrote is replaced, and what the
new commit lacks is deleted.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from typing import Any, TypeVar

from retriever.backup.archive.writing import Spool, fill
from retriever.backup.backups import BackupTools, affordable
from retriever.backup.restores import Products, in_turn, joined, register, write_others
from retriever.catalog.deletions import sweep
from retriever.catalog.images import stored_photo
from retriever.domain import registry
from retriever.domain.archive import ArchiveTable, Row
from retriever.domain.errors import CatalogExists, ImageTakenDown
from retriever.domain.generation import Generation
from retriever.domain.jobs import request_key
from retriever.ports.embedder import Embedder
from retriever.record import Record
from retriever.record.snapshots import RecordSnapshot
from servicekit.catalogs.known import CatalogDeleted, CatalogState
from servicekit.clock import new_id, now_micros
from servicekit.errors import Unavailable
from servicekit.jobs.queue import Job, JobClaimLost, Jobs
from servicekit.jobs.reporting import Progress, reporting
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.filters import All

COPY = "copy_catalog"
T = TypeVar("T")
PATIENCE_SECONDS = 1.0
"""Seconds between two questions to an embedder that does not answer."""


@dataclass(frozen=True, slots=True)
class CopyTools:
    """Collaborators of a copy."""

    tools: BackupTools
    record: Record
    embedder: Embedder
    settle_seconds: float
    """Seconds between the deletion of an abandoned copy and its removal."""


@dataclass(frozen=True, slots=True)
class CopiedTables:
    """The tables of the copied catalog at one commit, in temporary files."""

    spool: Spool
    tables: Mapping[str, ArchiveTable]
    counts: Mapping[str, int]

    def rows(self, name: str) -> Iterator[list[Row]]:
        """Yield the rows of a table, in batches."""
        return self.spool.rows(self.tables[name], self.counts[name])


# Requests


@dataclass(frozen=True, slots=True)
class CopyRules:
    """Limits of a new catalog."""

    declared: Sequence[str]
    """Catalogs of the settings."""
    most: int
    """Number of catalogs that the registry may have."""


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """Parameters of a copy."""

    target: str
    uid: str
    """Of the new catalog."""


async def ask_copy(
    source: str,
    target: str,
    record: Record,
    jobs: Jobs,
    *,
    rules: CopyRules,
    request_id: str,
) -> Job:
    """Request the job that fills the new catalog, and reserve that with it. A repeated request id
    returns the existing job.

    Raises RequestInvalid, CatalogExists, CatalogIsAlias, CatalogsFull, JobsFull.
    """
    if wrong := list(registry.id_problems(target, "target_catalog_id")):
        raise RequestInvalid(*wrong)
    if target in rules.declared:
        raise CatalogExists
    uid = new_id(now_micros())
    return await jobs.create(
        COPY,
        source,
        CopyPlan(target, uid),
        request_key(request_id, target),
        beside=record.reserving_copy(target, uid, rules.most),
    )


# Execution


async def copy(job: Job, deps: CopyTools, prefix: str) -> Mapping[str, Any]:
    """Do a job of kind COPY. Return its results. Raise JobCancelled, JobClaimLost.

    The new catalog is deleted unless the copy succeeds, or another attempt follows. `prefix`: what
    the names of collections begin with.
    """
    try:
        return await reporting(partial(_copy, job, deps, prefix), job, deps.tools.jobs)
    except (Unavailable, JobClaimLost):
        raise
    except Exception:
        plan = job.given(CopyPlan)
        await deps.record.abandon_copy(plan.target, plan.uid, round(deps.settle_seconds * 1e6))
        raise


async def _copy(job: Job, deps: CopyTools, prefix: str, progress: Progress) -> Mapping[str, Any]:
    record, store, plan = deps.record, deps.tools.store, job.given(CopyPlan)
    target = plan.target
    found = await record.catalog_entry(target)
    if found is not None and (found.uid, found.state) == (plan.uid, CatalogState.ACTIVE):
        return {"catalog_id": target}  # an earlier attempt was killed after its last step
    tables = {table.name: table for table in record.copied()}
    shared = await _shared_versions(job.catalog_id, deps.embedder, progress)

    def take(found: RecordSnapshot) -> tuple[Sequence[Generation], Mapping[str, int]]:
        return found.generations, fill(spool, [*tables.values()], found, progress)

    with Spool(store.spool_folder()) as spool:
        generations, counts = await _ended(record.snapshot(job.catalog_id, take))
        copied = CopiedTables(spool, tables, counts)
        progress.total += sum(counts.values())
        before = await record.commit_number(target)
        lost = await _copy_photos(job, copied, deps, progress)
        usable = [each for each in generations if (each.space, each.space_version) in shared]
        # The generations' names and collections are derived from the new catalog.
        await register(replace(job, catalog_id=target), usable, prefix, record)
        await _write(job, copied, deps, progress, shared=shared, before=before)
        async for _ in sweep(target, All(), before, record):  # of an earlier attempt
            progress.add(0)
    await record.complete_copy(target, plan.uid)
    return {
        "catalog_id": target,
        "product_count": counts["products"],
        "image_count": counts["images"] - lost,
        "lost_image_count": lost,
        "vector_count": counts["vectors"] + counts["product_vectors"],
    }


async def _ended(work: Awaitable[T]) -> T:
    """Await work in a thread. If cancelled, wait until it has ended: its files are closed then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # expected: the job was stopped
        raise


async def _shared_versions(
    source: str, embedder: Embedder, progress: Progress
) -> set[tuple[str, str]]:
    """Return the versions of spaces that the embedder serves for all catalogs; wait for it."""
    while True:
        try:
            found = await embedder.spaces(source)
        except Unavailable:
            progress.add(0)
            await asyncio.sleep(PATIENCE_SECONDS)
        else:
            return {(each.space, each.version) for each in found if not each.fitted}


async def _copy_photos(job: Job, copied: CopiedTables, deps: CopyTools, progress: Progress) -> int:
    """Copy the photos. Return the number of lost ones."""
    photos, target, lost = deps.tools.photos, job.given(CopyPlan).target, 0
    batches = copied.rows("images")

    async def one(image_id: str) -> bool:
        data = await stored_photo(job.catalog_id, image_id, photos)
        with contextlib.suppress(ImageTakenDown):
            if data is not None:
                await photos.put(target, image_id, data)
        return data is not None

    while batch := await deps.tools.store.run(lambda: next(batches, None)):
        for group in affordable(batch):
            await _check_wanted(job, deps.record)
            found = await asyncio.gather(*(one(row["image_id"]) for row in group))
            lost += found.count(False)
            progress.add(len(group))
    return lost


async def _write(
    job: Job,
    copied: CopiedTables,
    deps: CopyTools,
    progress: Progress,
    *,
    shared: set[tuple[str, str]],
    before: int,
) -> None:
    """Write photos and vectors first, as a restore does."""
    record, target = deps.record, job.given(CopyPlan).target

    async def each(batches: Iterator[list[T]], put: Callable[[list[T]], Awaitable[object]]) -> None:
        async def put_wanted(batch: list[T]) -> None:
            await _check_wanted(job, record)
            await put(batch)

        await in_turn(deps.tools.store, progress, batches, put_wanted)

    async def put_vectors(rows: list[Row]) -> None:
        kept = [row for row in rows if (row["space"], row["space_version"]) in shared]
        await record.restore_vectors(target, kept)

    async def put_products(batch: list[tuple[Products, list[Row]]]) -> None:
        for products, texts in batch:
            await record.restore_products(target, before, products, texts=texts)
            progress.add(len(products) + len(texts) - 1)

    await each(copied.rows("images"), partial(record.restore_images, target))
    await each(copied.rows("vectors"), put_vectors)
    await each(([pair] for pair in _with_texts(copied)), put_products)
    await write_others(each, copied, record, target, before)
    progress.add(copied.counts["product_images"])


def _with_texts(copied: CopiedTables) -> Iterator[tuple[Products, list[Row]]]:
    """Yield products in batches, each with the vectors of their texts. Both are by product id."""
    vectors = groupby(
        chain.from_iterable(copied.rows("product_vectors")), lambda row: row["product_id"]
    )
    ahead = next(vectors, None)
    for products in joined(copied):
        last, texts = products[-1][0]["product_id"], list[Row]()
        while ahead is not None and ahead[0] <= last:
            texts += ahead[1]
            ahead = next(vectors, None)
        yield products, texts


async def _check_wanted(job: Job, record: Record) -> None:
    """Raise CatalogDeleted unless the new catalog still waits for this copy."""
    plan = job.given(CopyPlan)
    found = await record.catalog_entry(plan.target)
    mine = found is not None and found.uid == plan.uid
    if not mine or found is None or found.state is not CatalogState.COPYING:
        raise CatalogDeleted
