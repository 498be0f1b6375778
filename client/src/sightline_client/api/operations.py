"""Jobs, backups and the state of the suite."""

import asyncio
from collections.abc import AsyncIterator

from sightline.common.v1 import job_service_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.retriever.v1 import backup_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.errors import Unavailable
from sightline_client.values.operations import Backup, Job, Status

_PAGE = 200
_WATCH_TRIES = 5
_WATCH_PAUSE = 0.5
"""Seconds before a lost watch is taken up again."""


class OperationCalls(Connected):
    """Jobs, backups and the state of the suite."""

    async def list_jobs(
        self, *, kind: str = "", timeout: float | None = None
    ) -> AsyncIterator[Job]:
        """Every job, newest first, read page by page; ``kind`` "" = of all kinds."""
        with to_wire.sendable("request"):
            request = job_service_pb2.ListJobsRequest(
                catalog_id=self.catalog, kind=kind, page_size=_PAGE
            )
        async for page in self._pages(self.calls.jobs.ListJobs, request, timeout):
            for message in page.jobs:
                yield from_wire.job(message)

    async def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """A job as it stands; NotFound (JOB_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = job_service_pb2.GetJobRequest(catalog_id=self.catalog, job_id=job_id)
        return from_wire.job(await self._call(self.calls.jobs.GetJob, request, timeout))

    async def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Asks a job to stop; it ends as CANCELLED soon after, unless it ended first."""
        with to_wire.sendable("request"):
            request = job_service_pb2.CancelJobRequest(catalog_id=self.catalog, job_id=job_id)
        return from_wire.job(await self._call(self.calls.jobs.CancelJob, request, timeout))

    async def watch_job(self, job_id: str, *, timeout: float | None = None) -> AsyncIterator[Job]:
        """The job at once and at every change until it has ended; ``timeout`` None = as long as
        that takes. A lost connection is taken up again, so that a state may be seen twice."""
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
        """Starts a job that copies the catalog into one file, as it is at one moment; follow it
        with ``watch_job``. Its results name the ``backup_id``. The same ``request_id`` answers the
        same job."""
        with to_wire.sendable("request"):
            request = backup_service_pb2.CreateBackupRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
            )
        return from_wire.job(await self._call(self.calls.admin.CreateBackup, request, timeout))

    async def list_backups(self, *, timeout: float | None = None) -> tuple[Backup, ...]:
        """Every backup of the catalog, newest first; ``timeout`` is that of one page."""
        request = backup_service_pb2.ListBackupsRequest(catalog_id=self.catalog, page_size=_PAGE)
        pages = self._pages(self.calls.admin.ListBackups, request, timeout)
        return tuple([from_wire.backup(each) async for page in pages for each in page.backups])

    async def delete_backup(self, backup_id: str, *, timeout: float | None = None) -> int:
        """Deletes a backup; the bytes of its file, 0 = there was none. NotFound (BACKUP_NOT_FOUND)
        for what no backup can be called."""
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
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that restores a backup into this catalog; follow it with ``watch_job``.

        ``source_catalog`` is the one that the backup is of, "" = this one. FailedPrecondition
        (CATALOG_NOT_EMPTY) when this catalog holds products: with ``force`` the backup's replace
        those of the same id, and in the end those that it does not hold are deleted. NotFound
        (BACKUP_NOT_FOUND). The same ``request_id`` answers the same job."""
        with to_wire.sendable("request"):
            request = backup_service_pb2.RestoreBackupRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                backup_id=backup_id,
                source_catalog_id=source_catalog,
                force=force,
            )
        return from_wire.job(await self._call(self.calls.admin.RestoreBackup, request, timeout))

    async def status(self, *, timeout: float | None = None) -> Status:
        """How the suite is; answers whatever is down behind the gateway."""
        request = admin.GetStatusRequest(catalog_id=self.catalog)
        return from_wire.status(await self._call(self.calls.admin.GetStatus, request, timeout))
