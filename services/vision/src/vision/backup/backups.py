"""Backups of the watches of a catalog, and restores, as jobs of the worker."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from servicekit.artefacts.backup_errors import BackupCatalogMismatch
from servicekit.artefacts.backup_files import BackupWriter
from servicekit.artefacts.backups import Backups, new_id
from servicekit.artefacts.manifest import Manifest
from servicekit.clock import Clock
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Job, Jobs
from vision.backup.archive import ArchiveReader, WatchContent, write_photo, write_tables
from vision.backup.watches import (
    archived_alerts,
    check_room,
    checked_watches,
    put_watch,
)
from vision.domain.errors import ImageDamaged, ImageNotFound
from vision.ports.snapshots import WatchSnapshot
from vision.record import Record

BACKUP, RESTORE = "backup", "restore"


class BackupPhotos(Protocol):
    """The photo store, as backups use it."""

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        """Return the bytes. Raises ImageNotFound, ImageDamaged, PhotosUnavailable."""

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> object:
        """Store bytes durably. Raises PhotosUnavailable, PhotosFull."""


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
    """True: watches that the catalog has get the rules of the backup."""
    unsigned: bool = False


async def create(catalog_id: str, jobs: Jobs, now: int) -> Job:
    """Request a backup. `now`: microseconds since 1970 (UTC)."""
    return await jobs.create(BACKUP, catalog_id, BackupPlan(new_id(now)), "")


async def ask_restore(catalog_id: str, plan: RestorePlan, store: Backups, jobs: Jobs) -> Job:
    """Request a restore. Raises BackupNotFound, BackupUnsigned, BackupCatalogMismatch."""
    opened = partial(store.open, plan.source, plan.backup_id, unsigned=plan.unsigned)
    found = await store.run(opened)
    if found.manifest.catalog_id != plan.source:
        raise BackupCatalogMismatch(plan.source, found.manifest.catalog_id)
    return await jobs.create(RESTORE, catalog_id, plan, "")


@dataclass(frozen=True, slots=True)
class BackupJobs:
    """Runs both jobs."""

    record: Record
    photos: BackupPhotos
    store: Backups
    clock: Clock
    release: str

    async def back_up(self, job: Job) -> Mapping[str, Any]:
        """Do a job of kind BACKUP. Return its results."""
        backup_id = job.given(BackupPlan).backup_id
        writer = await self.store.run(lambda: self.store.begin(job.catalog_id, backup_id))
        try:
            manifest = await self._write(job.catalog_id, writer)
            await self.store.run(lambda: writer.finish(manifest))
        except BaseException:
            with contextlib.suppress(ServiceError):
                await self.store.run(writer.abort)
            raise
        return {"backup_id": backup_id, "watch_count": manifest.rows("tables/watches.jsonl")}

    async def _write(self, catalog_id: str, writer: BackupWriter) -> Manifest:
        def take(found: WatchSnapshot) -> tuple[int, list[str]]:
            write_tables(writer, found)
            photos = (row["image_id"] for batch in found.rows("watch_photos") for row in batch)
            return found.commit, sorted(set(photos))

        now = self.clock()
        commit, photos = await self.record.snapshot(catalog_id, take)
        lost = 0
        for name in photos:
            try:
                data = await self.photos.get(catalog_id, name)
            except (ImageNotFound, ImageDamaged):
                lost += 1
            else:
                await self.store.run(partial(write_photo, writer, name, data))
        return Manifest(
            service=self.store.service,
            service_version=self.release,
            catalog_id=catalog_id,
            create_micros=now,
            files=writer.files,
            content=WatchContent(commit=commit, lost=lost).model_dump(),
        )

    async def restore(self, job: Job) -> Mapping[str, Any]:
        """Do a job of kind RESTORE: add watches and alerts, and delete none. Return its results.

        Raises BackupDamaged before anything was changed, WatchesFull, WatchContended.
        """
        plan, run, record = job.given(RestorePlan), self.store.run, self.record
        opened = partial(self.store.open, plan.source, plan.backup_id, unsigned=plan.unsigned)
        reader = ArchiveReader(await run(opened))
        watches = await run(lambda: checked_watches(reader))
        await check_room(job.catalog_id, watches, record)
        for batch in await run(lambda: list(reader.rows("watch_photos"))):
            for row in batch:
                data = await run(partial(reader.photo, row))
                if data is not None:
                    await self.photos.put(job.catalog_id, row["image_id"], data)
        for archived in watches:
            await put_watch(job, archived, record, force=plan.force)
        alerts, count = archived_alerts(reader.rows("watch_alerts")), 0
        while batch_of_alerts := await run(lambda: next(alerts, None)):
            count += await record.restore_alerts(job.catalog_id, batch_of_alerts)
            await asyncio.sleep(0)
        return {"watch_count": len(watches), "alert_count": count}


def kinds(work: BackupJobs) -> Mapping[str, Any]:
    """Return what does the jobs of each kind."""
    return {BACKUP: work.back_up, RESTORE: work.restore}
