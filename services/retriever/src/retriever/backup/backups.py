"""Backups: a catalog into one file, and back.

Both are jobs. A backup is the record at one commit, read in one transaction while writes go on,
and the photos that it names, which never change. What restores it is in `restores`.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from retriever.backup.archive import tar
from retriever.backup.archive.reading import manifest_of
from retriever.backup.archive.writing import Spool, Writer, fill
from retriever.catalog.images import stored_photo
from retriever.domain.archive import Manifest, Row
from retriever.domain.errors import BackupCatalogMismatch, BackupQuota, CatalogNotEmpty
from retriever.domain.jobs import OPEN, Progress, reporting, request_key
from retriever.domain.product import CatalogPart
from retriever.ports.backup import BackupRecord, BackupStore
from retriever.ports.photos import Photos
from servicekit.errors import ServiceError
from servicekit.jobs import Job, Jobs
from servicekit.keyring import KeyRing
from servicekit.requests import page_place, page_size, page_token
from sightline_rules.filters import All

BACKUP, RESTORE = "backup", "restore"
KINDS = (BACKUP, RESTORE)
MOST_PHOTOS = 64
MOST_PHOTO_BYTES = 32 * 2**20
"""Photos in memory at once; a single one may be larger."""
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

    record: BackupRecord
    photos: Photos
    store: BackupStore
    jobs: Jobs


@dataclass(frozen=True, slots=True)
class Quota:
    """Quota of the backups of one catalog."""

    count: int = 100
    """Including those in progress."""
    size: int = 0
    """Bytes, from which on none is begun; 0 = any."""


# Asked for


async def create(
    catalog_id: str, store: BackupStore, jobs: Jobs, quota: Quota, *, now: int, request_id: str
) -> Job:
    """Ask for a backup. Raises BackupQuota. A request that is sent again with its id is answered
    with its job."""
    known = await jobs.find(BACKUP, catalog_id, request_id) if request_id else None
    if known is not None:
        return known
    count, size = await store.used(catalog_id)
    made = await jobs.list(
        catalog_id=catalog_id, kinds=(BACKUP,), states=OPEN, limit=quota.count, params=False
    )
    if count + len(made) >= quota.count or 0 < quota.size <= size:
        raise BackupQuota(count + len(made), size)
    time = datetime.fromtimestamp(now / 1e6, UTC)
    params = {"backup_id": f"{time:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"}
    return await jobs.create(BACKUP, catalog_id, params, request_id)


async def list_backups(
    catalog_id: str, store: BackupStore, *, size: int, token: str
) -> tuple[list[Listed], str]:
    """Return a page of a catalog's backups, newest first, and the next page's token."""
    size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
    after = page_place(token, (catalog_id,), str)
    names = [name for name in await store.names(catalog_id) if not after or name < after[0]]
    page = [await _look(catalog_id, name, store) for name in names[:size]]
    more = len(names) > size
    return page, page_token((catalog_id,), names[size - 1]) if more else ""


async def _look(catalog_id: str, backup_id: str, store: BackupStore) -> Listed:
    size = 0
    try:
        file, size = await store.open(catalog_id, backup_id)
        with file:
            keys = wanted(store)
            found = await store.run(lambda: manifest_of(tar.Members(file), keys))
            return Listed(backup_id, size, found)
    except ServiceError as error:
        return Listed(backup_id, size, error)


async def ask_restore(
    catalog_id: str,
    backup_id: str,
    record: BackupRecord,
    store: BackupStore,
    jobs: Jobs,
    *,
    source: str,
    force: bool,
    unsigned: bool = False,
    request_id: str,
) -> Job:
    """Ask for a restore; `unsigned`: accept an unsigned one. Raises BackupNotFound,
    BackupUnsigned, BackupCatalogMismatch, CatalogNotEmpty.

    A request that is sent again with its id is answered with its job, whatever is there by then.
    """
    source = source or catalog_id
    asked = json.dumps([backup_id, source, force, *["unsigned"] * unsigned])
    same = request_key(request_id, asked, hashed=True)
    known = await jobs.find(RESTORE, catalog_id, same) if same else None
    if known is not None:
        return known
    file, _ = await store.open(source, backup_id)
    with file:
        keys = wanted(store, unsigned=unsigned)
        check_catalog(await store.run(lambda: manifest_of(tar.Members(file), keys)), source)
    before = await record.commit_number(catalog_id)
    if not force:
        # What is written from now on counts as newer than the backup.
        held = await record.tally(catalog_id, CatalogPart(All(), before, None, 1))
        if held.product_ids:
            raise CatalogNotEmpty
    params = {
        "backup_id": backup_id,
        "source": source,
        "force": force,
        "unsigned": unsigned,
        "before": before,
    }
    return await jobs.create(RESTORE, catalog_id, params, same)


def wanted(store: BackupStore, *, unsigned: bool = False) -> KeyRing | None:
    """Return the keys of which one must have signed a backup; None = no signature is needed."""
    keys = store.keys()
    return keys if keys.secret and not unsigned else None


def check_catalog(manifest: Manifest, source: str) -> None:
    """Raise BackupCatalogMismatch unless the backup is of this catalog."""
    if manifest.catalog_id != source:
        raise BackupCatalogMismatch(source, manifest.catalog_id)


# Done


async def back_up(job: Job, deps: BackupTools, service_version: str) -> Mapping[str, Any]:
    """Do a job of kind BACKUP; its results. Raises JobCancelled, JobClaimLost."""
    progress = Progress()
    work = _back_up(job, deps, progress, service_version)
    return await reporting(work, job, progress, deps.jobs)


async def _back_up(
    job: Job, deps: BackupTools, progress: Progress, service_version: str
) -> Mapping[str, Any]:
    tables, store = deps.record.archived(), deps.store
    with Spool(store.spool_folder()) as spool:
        manifest = await deps.record.snapshot(
            job.catalog_id,
            lambda found: fill(spool, tables, found, progress, service_version=service_version),
        )
        upload = await store.begin(job.catalog_id, job.params["backup_id"])
        try:
            writer = Writer(upload.file, manifest, store.keys())
            await store.run(lambda: writer.begin(spool, progress))
            (images,) = (table for table in tables if table.name == "images")
            rows = spool.rows(images, manifest)
            lost = await _copy_photos(job, rows, writer, deps, progress)
            await store.run(lambda: writer.end(lost))
            await upload.commit()
        except BaseException:
            with contextlib.suppress(ServiceError):
                await upload.abort()
            raise
    return {
        "backup_id": job.params["backup_id"],
        "product_count": manifest.rows("products"),
        "image_count": manifest.rows("images") - lost,
        "lost_image_count": lost,
    }


async def _copy_photos(
    job: Job, rows: Iterator[list[Row]], writer: Writer, deps: BackupTools, progress: Progress
) -> int:
    """Put the photos into the archive; how many are lost."""
    lost = 0
    while batch := await deps.store.run(lambda: next(rows, None)):
        for group in affordable(batch):
            ids = [row["image_id"] for row in group]
            read = await asyncio.gather(
                *(stored_photo(job.catalog_id, i, deps.photos) for i in ids)
            )
            there = [(i, data) for i, data in zip(ids, read, strict=True) if data is not None]
            await deps.store.run(partial(writer.photos, there))
            lost += len(ids) - len(there)
            progress.add(len(ids))
    return lost


def affordable(images: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the photos in groups that fit into memory."""
    group: list[Row] = []
    size = 0
    for row in images:
        if group and (len(group) == MOST_PHOTOS or size + row["size"] > MOST_PHOTO_BYTES):
            yield group
            group, size = [], 0
        group.append(row)
        size += row["size"]
    if group:
        yield group
