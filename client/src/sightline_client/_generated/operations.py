"""Jobs, backups and the state of the suite.

Made from api/operations.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterator
from datetime import datetime

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import (
    AuditDrop,
    AuditEntry,
    AuditPage,
    AuditSeal,
    Backup,
    Job,
    Status,
)


class SyncOperationCalls(SyncConnected):
    """Jobs, backups and the state of the suite."""

    def list_jobs(self, *, kind: str = "", timeout: float | None = None) -> Iterator[Job]:
        """Yield every job, newest first, read page by page. ``kind`` "" = of all kinds."""
        return self._loop.iterate(self._client.list_jobs(kind=kind, timeout=timeout))

    def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Return a job's present state. NotFound (JOB_NOT_FOUND)."""
        return self._loop.run(self._client.get_job(job_id, timeout=timeout))

    def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Ask a job to stop; it ends as CANCELLED soon after, unless it ended first."""
        return self._loop.run(self._client.cancel_job(job_id, timeout=timeout))

    def watch_job(self, job_id: str, *, timeout: float | None = None) -> Iterator[Job]:
        """Yield the job at once and at every change until it has ended. ``timeout`` None = no
        limit. A lost connection is restored, so that a state may be yielded twice."""
        return self._loop.iterate(self._client.watch_job(job_id, timeout=timeout))

    def create_backup(self, *, request_id: str = "", timeout: float | None = None) -> Job:
        """Start a job that copies a snapshot of the catalog into one file; follow it with
        ``watch_job``. Its results name the ``backup_id``. The same ``request_id`` returns the same
        job."""
        return self._loop.run(self._client.create_backup(request_id=request_id, timeout=timeout))

    def list_backups(self, *, timeout: float | None = None) -> tuple[Backup, ...]:
        """Return every backup of the catalog, newest first. ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_backups(timeout=timeout))

    def delete_backup(self, backup_id: str, *, timeout: float | None = None) -> int:
        """Delete a backup. Return the size of its file in bytes, 0 = it did not exist. NotFound
        (BACKUP_NOT_FOUND) for an id that no backup can have."""
        return self._loop.run(self._client.delete_backup(backup_id, timeout=timeout))

    def restore_backup(
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
        return self._loop.run(
            self._client.restore_backup(
                backup_id,
                source_catalog=source_catalog,
                force=force,
                accept_unsigned=accept_unsigned,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def list_audit(
        self,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        caller: str = "",
        timeout: float | None = None,
    ) -> Iterator[AuditEntry]:
        """Yield administrative and destructive calls with their callers, newest first, read page by
        page. ``since`` and ``before`` bound their time; ``caller`` "" = of all."""
        return self._loop.iterate(
            self._client.list_audit(since=since, before=before, caller=caller, timeout=timeout)
        )

    def read_audit_chain(self, store: str, *, timeout: float | None = None) -> Iterator[AuditPage]:
        """Yield the pages of the chain that a store ("retriever" or "ranker") has of the catalog,
        oldest entry first. ``timeout`` is that of one page."""
        return self._loop.iterate(self._client.read_audit_chain(store, timeout=timeout))

    def drop_audit_entries(
        self, store: str, seal: AuditSeal, *, timeout: float | None = None
    ) -> AuditDrop:
        """Delete the entries of a store up to ``seal``, the last one of an archive; call it again
        while the result is ``unfinished``. FailedPrecondition: AUDIT_SEAL_MISMATCH, AUDIT_TERM."""
        return self._loop.run(self._client.drop_audit_entries(store, seal, timeout=timeout))

    def status(self, *, timeout: float | None = None) -> Status:
        """Return the state of the suite. Answers even when services behind the gateway are down."""
        return self._loop.run(self._client.status(timeout=timeout))
