"""Jobs, backups and the state of the suite."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from sightline.common.v1 import audit_service_pb2, job_service_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.retriever.v1 import backup_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.errors import Unavailable
from sightline_client.values.operations import (
    AuditDrop,
    AuditEntry,
    AuditPage,
    AuditSeal,
    Backup,
    Job,
    Status,
)

_PAGE = 200
_AUDIT_PAGE = 1_000
_WATCH_TRIES = 5
_WATCH_PAUSE = 0.5
"""Seconds before a broken watch is resumed."""


class OperationCalls(Connected):
    """Calls about jobs, backups and the state of the suite."""

    async def list_jobs(
        self, *, kind: str = "", timeout: float | None = None
    ) -> AsyncIterator[Job]:
        """Yield every job, newest first, read page by page. ``kind`` "" = of all kinds."""
        with to_wire.sendable("request"):
            request = job_service_pb2.ListJobsRequest(
                catalog_id=self.catalog, kind=kind, page_size=_PAGE
            )
        async for page in self._pages(self.calls.jobs.ListJobs, request, timeout):
            for message in page.jobs:
                yield from_wire.job(message)

    async def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Return a job's present state. NotFound (JOB_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = job_service_pb2.GetJobRequest(catalog_id=self.catalog, job_id=job_id)
        return from_wire.job(await self._call(self.calls.jobs.GetJob, request, timeout))

    async def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Ask a job to stop; it ends as CANCELLED soon after, unless it ended first."""
        with to_wire.sendable("request"):
            request = job_service_pb2.CancelJobRequest(catalog_id=self.catalog, job_id=job_id)
        return from_wire.job(await self._call(self.calls.jobs.CancelJob, request, timeout))

    async def watch_job(self, job_id: str, *, timeout: float | None = None) -> AsyncIterator[Job]:
        """Yield the job at once and at every change until it has ended. ``timeout`` None = no
        limit. A lost connection is restored, so that a state may be yielded twice."""
        with to_wire.sendable("request"):
            request = job_service_pb2.WatchJobRequest(catalog_id=self.catalog, job_id=job_id)
        clock, tries = asyncio.get_running_loop().time, 0
        end = None if timeout is None else clock() + timeout
        while True:
            left = None if end is None else end - clock()
            try:
                async for message in self.calls.stream(self.calls.jobs.WatchJob, request, left):
                    tries = 0
                    job = from_wire.job(message)
                    yield job
                    if job.ended:
                        return
            except Unavailable:
                tries += 1
                late = end is not None and clock() + _WATCH_PAUSE >= end
                if tries == _WATCH_TRIES or late:
                    raise
                await asyncio.sleep(_WATCH_PAUSE)
            else:
                return

    async def create_backup(self, *, request_id: str = "", timeout: float | None = None) -> Job:
        """Start a job that copies a snapshot of the catalog into one file; follow it with
        ``watch_job``. Its results name the ``backup_id``. The same ``request_id`` returns the same
        job."""
        with to_wire.sendable("request"):
            request = backup_service_pb2.CreateBackupRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
            )
        return from_wire.job(await self._call(self.calls.admin.CreateBackup, request, timeout))

    async def list_backups(self, *, timeout: float | None = None) -> tuple[Backup, ...]:
        """Return every backup of the catalog, newest first. ``timeout`` is that of one page."""
        request = backup_service_pb2.ListBackupsRequest(catalog_id=self.catalog, page_size=_PAGE)
        pages = self._pages(self.calls.admin.ListBackups, request, timeout)
        return tuple([from_wire.backup(each) async for page in pages for each in page.backups])

    async def delete_backup(self, backup_id: str, *, timeout: float | None = None) -> int:
        """Delete a backup. Return the size of its file in bytes, 0 = it did not exist. NotFound
        (BACKUP_NOT_FOUND) for an id that no backup can have."""
        with to_wire.sendable("request"):
            request = backup_service_pb2.DeleteBackupRequest(
                catalog_id=self.catalog, backup_id=backup_id
            )
        return (await self._call(self.calls.admin.DeleteBackup, request, timeout)).size

    async def restore_backup(
        self,
        backup_id: str,
        *,
        source_catalog: str = "",
        force: bool = False,
        accept_unsigned: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that restores a backup into this catalog; follow it with ``watch_job``.

        NotFound (BACKUP_NOT_FOUND). FailedPrecondition: CATALOG_NOT_EMPTY, BACKUP_UNSIGNED.

        Args:
            backup_id: The backup.
            source_catalog: The catalog that the backup is of; "" = this one.
            force: Restore into a catalog that holds products: those of the same id are replaced,
                and those that the backup lacks are deleted in the end.
            accept_unsigned: Restore a backup that none of the operator's keys signed.
            request_id: The same id returns the same job.
        """
        with to_wire.sendable("request"):
            request = backup_service_pb2.RestoreBackupRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                backup_id=backup_id,
                source_catalog_id=source_catalog,
                force=force,
                accept_unsigned=accept_unsigned,
            )
        return from_wire.job(await self._call(self.calls.admin.RestoreBackup, request, timeout))

    async def list_audit(
        self,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        caller: str = "",
        timeout: float | None = None,
    ) -> AsyncIterator[AuditEntry]:
        """Yield administrative and destructive calls with their callers, newest first, read page by
        page. ``since`` and ``before`` bound their time; ``caller`` "" = of all."""
        with to_wire.sendable("request"):
            request = audit_service_pb2.ListAuditEntriesRequest(
                catalog_id=self.catalog,
                from_time=None if since is None else to_wire.timestamp(since),
                before_time=None if before is None else to_wire.timestamp(before),
                caller=caller,
                page_size=_PAGE,
            )
        async for page in self._pages(self.calls.admin.ListAuditEntries, request, timeout):
            for message in page.entries:
                yield from_wire.audit_entry(message)

    async def read_audit_chain(
        self, store: str, *, timeout: float | None = None
    ) -> AsyncIterator[AuditPage]:
        """Yield the pages of the chain that a store ("retriever" or "ranker") has of the catalog,
        oldest entry first. ``timeout`` is that of one page."""
        with to_wire.sendable("request"):
            request = audit_service_pb2.ReadAuditChainRequest(
                catalog_id=self.catalog, store=store, page_size=_AUDIT_PAGE
            )
        async for page in self._pages(self.calls.admin.ReadAuditChain, request, timeout):
            yield from_wire.audit_page(page)

    async def drop_audit_entries(
        self, store: str, seal: AuditSeal, *, timeout: float | None = None
    ) -> AuditDrop:
        """Delete the entries of a store up to ``seal``, the last one of an archive; call it again
        while the result is ``unfinished``. FailedPrecondition: AUDIT_SEAL_MISMATCH, AUDIT_TERM."""
        with to_wire.sendable("request"):
            request = audit_service_pb2.DropAuditEntriesRequest(
                catalog_id=self.catalog, store=store, number=seal.number, hash=seal.hash
            )
        return from_wire.audit_drop(
            await self._call(self.calls.admin.DropAuditEntries, request, timeout)
        )

    async def status(self, *, timeout: float | None = None) -> Status:
        """Return the state of the suite. Answers even when services behind the gateway are down."""
        request = admin.GetStatusRequest(catalog_id=self.catalog)
        return from_wire.status(await self._call(self.calls.admin.GetStatus, request, timeout))
