"""Jobs, backups and the state of the suite.

Made from api/operations.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import Backup, Job, Status


class SyncOperationCalls(SyncConnected):
    """Jobs, backups and the state of the suite."""

    def list_jobs(self, *, kind: str = "", timeout: float | None = None) -> Iterator[Job]:
        """Every job, newest first, read page by page; ``kind`` "" = of all kinds."""
        return self._loop.iterate(self._client.list_jobs(kind=kind, timeout=timeout))

    def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """A job as it stands; NotFound (JOB_NOT_FOUND)."""
        return self._loop.run(self._client.get_job(job_id, timeout=timeout))

    def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Asks a job to stop; it ends as CANCELLED soon after, unless it ended first."""
        return self._loop.run(self._client.cancel_job(job_id, timeout=timeout))

    def watch_job(self, job_id: str, *, timeout: float | None = None) -> Iterator[Job]:
        """The job at once and at every change until it has ended; ``timeout`` None = as long as
        that takes. A lost connection is taken up again, so that a state may be seen twice."""
        return self._loop.iterate(self._client.watch_job(job_id, timeout=timeout))

    def create_backup(self, *, request_id: str = "", timeout: float | None = None) -> Job:
        """Starts a job that copies the catalog into one file, as it is at one moment; follow it
        with ``watch_job``. Its results name the ``backup_id``. The same ``request_id`` answers the
        same job."""
        return self._loop.run(self._client.create_backup(request_id=request_id, timeout=timeout))

    def list_backups(self, *, timeout: float | None = None) -> tuple[Backup, ...]:
        """Every backup of the catalog, newest first; ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_backups(timeout=timeout))

    def delete_backup(self, backup_id: str, *, timeout: float | None = None) -> int:
        """Deletes a backup; the bytes of its file, 0 = there was none. NotFound (BACKUP_NOT_FOUND)
        for what no backup can be called."""
        return self._loop.run(self._client.delete_backup(backup_id, timeout=timeout))

    def restore_backup(
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
        return self._loop.run(
            self._client.restore_backup(
                backup_id,
                source_catalog=source_catalog,
                force=force,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def status(self, *, timeout: float | None = None) -> Status:
        """How the suite is; answers whatever is down behind the gateway."""
        return self._loop.run(self._client.status(timeout=timeout))
