"""Backups of a catalog as a folder of files, and their restore. Both are jobs. A backup is the
record at one commit, read in one transaction while writes go on, and the photos that it names,
which never change. `restores` restores a backup.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from retriever.backup.archive.writing import PhotoWriter, Spool, copy_tables, fill
from retriever.catalog.images import stored_photo
from retriever.domain.archive import PHOTOS, CatalogContent, Row, dumped, table_file
from retriever.domain.errors import BackupQuota, CatalogNotEmpty
from retriever.domain.jobs import request_key
from retriever.domain.product import CatalogPart
from retriever.ports.photos import Photos
from retriever.record import Record
from retriever.record.snapshots import RecordSnapshot
from servicekit.artefacts.backup_errors import BackupCatalogMismatch
from servicekit.artefacts.backup_files import BackupWriter
from servicekit.artefacts.backups import Backups, new_id
from servicekit.artefacts.manifest import Manifest
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Job, Jobs
from servicekit.jobs.reporting import Progress, reporting
from servicekit.rpc.requests import page_place, page_size, page_token
from sightline_rules.filters import All

BACKUP, RESTORE = "backup", "restore"
KINDS = (BACKUP, RESTORE)
MOST_PHOTOS = 64
MOST_PHOTO_BYTES = 32 * 2**20
"""Maximum bytes of photos in memory at once; a single photo may be larger."""
DEFAULT_PAGE, MAX_PAGE = 50, 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A listed backup: its manifest, or the error of reading it."""

    backup_id: str
    size: int
    """Bytes."""
    found: Manifest | ServiceError


@dataclass(frozen=True, slots=True)
class BackupTools:
    """Collaborators of both jobs."""

    record: Record
    photos: Photos
    store: Backups
    jobs: Jobs


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """Parameters of a backup."""

    backup_id: str


@dataclass(frozen=True, slots=True)
class RestorePlan(BackupPlan):
    """Parameters of a restore."""

    source: str
    """Catalog of the backup."""
    force: bool
    before: int
    """Products that were written since this commit stay."""
    unsigned: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """Quota of the backups of one catalog."""

    count: int = 100
    """Including those in progress."""
    size: int = 0
    """Bytes at which no further backup is begun; 0: no limit."""


# Requests


async def create(
    catalog_id: str, store: Backups, jobs: Jobs, quota: Quota, *, now: int, request_id: str
) -> Job:
    """Request a backup. A repeated request id returns the existing job. Raise BackupQuota."""
    known = await jobs.find(BACKUP, catalog_id, request_id) if request_id else None
    if known is not None:
        return known
    count, size = await store.run(lambda: store.used(catalog_id))

    def decide(found: Sequence[Job]) -> None:
        if count + len(found) >= quota.count or 0 < quota.size <= size:
            raise BackupQuota(count + len(found), size)

    plan = BackupPlan(new_id(now))
    return await jobs.create(BACKUP, catalog_id, plan, request_id, decide=decide)


async def list_backups(
    catalog_id: str, store: Backups, *, size: int, token: str
) -> tuple[list[Listed], str]:
    """Return a page of a catalog's backups, newest first, and the next page's token."""
    size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
    after = page_place(token, (catalog_id,), str)
    ids = await store.run(lambda: store.ids(catalog_id))
    names = [name for name in ids if not after or name < after[0]]
    page = [await store.run(partial(_look, catalog_id, name, store)) for name in names[:size]]
    more = len(names) > size
    return page, page_token((catalog_id,), names[size - 1]) if more else ""


def _look(catalog_id: str, backup_id: str, store: Backups) -> Listed:
    size = 0
    try:
        size = store.size(catalog_id, backup_id)
        return Listed(backup_id, size, manifest_of(catalog_id, backup_id, store))
    except ServiceError as error:
        return Listed(backup_id, size, error)


def manifest_of(
    catalog_id: str, backup_id: str, store: Backups, *, unsigned: bool = False
) -> Manifest:
    """Return the manifest of a backup. Blocks; raises as Backups.open."""
    return store.open(catalog_id, backup_id, unsigned=unsigned).manifest


async def ask_restore(
    catalog_id: str,
    backup_id: str,
    record: Record,
    store: Backups,
    jobs: Jobs,
    *,
    source: str,
    force: bool,
    unsigned: bool = False,
    request_id: str,
) -> Job:
    """Ask for a restore; `unsigned`: accept an unsigned one. Raises BackupNotFound,
    BackupUnsigned, BackupCatalogMismatch, CatalogNotEmpty.

    A repeated request id returns the existing job, even if the catalog has products by then.
    """
    source = source or catalog_id
    asked = json.dumps([backup_id, source, force, *["unsigned"] * unsigned])
    same = request_key(request_id, asked, hashed=True)
    known = await jobs.find(RESTORE, catalog_id, same) if same else None
    if known is not None:
        return known
    found = await store.run(lambda: manifest_of(source, backup_id, store, unsigned=unsigned))
    check_catalog(found, source)
    before = await record.commit_number(catalog_id)
    if not force:
        # Later writes count as newer than the backup.
        held = await record.tally(catalog_id, CatalogPart(All(), before, None, 1))
        if held.product_ids:
            raise CatalogNotEmpty
    plan = RestorePlan(backup_id, source, force=force, unsigned=unsigned, before=before)
    return await jobs.create(RESTORE, catalog_id, plan, same)


def check_catalog(manifest: Manifest, source: str) -> None:
    """Raise BackupCatalogMismatch unless the backup is of this catalog."""
    if manifest.catalog_id != source:
        raise BackupCatalogMismatch(source, manifest.catalog_id)


# Execution


async def back_up(job: Job, deps: BackupTools, service_version: str) -> Mapping[str, Any]:
    """Do a job of kind BACKUP. Return its results. Raise JobCancelled, JobClaimLost."""
    return await reporting(partial(_back_up, job, deps, service_version), job, deps.jobs)


async def _back_up(
    job: Job, deps: BackupTools, service_version: str, progress: Progress
) -> Mapping[str, Any]:
    store, backup_id = deps.store, job.given(BackupPlan).backup_id
    writer = await store.run(lambda: store.begin(job.catalog_id, backup_id))
    try:
        manifest = await _write(job, deps, writer, progress, service_version)
        await store.run(lambda: writer.finish(manifest))
    except BaseException:
        with contextlib.suppress(ServiceError):
            await store.run(writer.abort)
        raise
    lost = manifest.content["lost"]
    return {
        "backup_id": backup_id,
        "product_count": manifest.rows(table_file("products")),
        "image_count": manifest.rows(table_file("images")) - lost,
        "lost_image_count": lost,
    }


async def _write(
    job: Job, deps: BackupTools, writer: BackupWriter, progress: Progress, service_version: str
) -> Manifest:
    """Write tables and photos. Return the manifest."""
    tables, store = deps.record.archived(), deps.store

    def take(found: RecordSnapshot) -> tuple[RecordSnapshot, Mapping[str, int]]:
        return found, fill(spool, tables, found, progress)

    with Spool(store.spool_folder()) as spool:
        snapshot, rows = await deps.record.snapshot(job.catalog_id, take)
        await store.run(lambda: copy_tables(spool, tables, rows, writer, progress))
        named = {table.name: table for table in tables}
        images = spool.rows(named["images"], rows["images"])
        lost = await _copy_photos(job, images, writer, deps, progress)
    content = CatalogContent(
        commit=snapshot.commit, lost=lost, generations=dumped(snapshot.generations)
    )
    return Manifest(
        service=store.service,
        service_version=service_version,
        catalog_id=job.catalog_id,
        create_micros=snapshot.time,
        files=writer.files,
        content=content.model_dump(),
    )


async def _copy_photos(
    job: Job,
    rows: Iterator[list[Row]],
    writer: BackupWriter,
    deps: BackupTools,
    progress: Progress,
) -> int:
    """Copy photos into the backup. Return the number of lost ones."""
    lost = 0
    out = PhotoWriter(await deps.store.run(lambda: writer.file(PHOTOS)))
    while batch := await deps.store.run(lambda: next(rows, None)):
        for group in affordable(batch):
            ids = [row["image_id"] for row in group]
            read = await asyncio.gather(
                *(stored_photo(job.catalog_id, i, deps.photos) for i in ids)
            )
            there = [(i, data) for i, data in zip(ids, read, strict=True) if data is not None]
            await deps.store.run(partial(out.write, there))
            lost += len(ids) - len(there)
            progress.add(len(ids))
    await deps.store.run(out.end)
    return lost


def affordable(images: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the photos in groups that fit into memory."""
    group: list[Row] = []
    size = 0
    for row in images:
        mine = row["size"]
        if group and (len(group) == MOST_PHOTOS or size + mine > MOST_PHOTO_BYTES):
            yield group
            group, size = [], 0
        group.append(row)
        size += mine
    if group:
        yield group
