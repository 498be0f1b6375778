"""Jobs, backups and the state of the suite.

Made by generate_sync.py from
api/operations.py: change that one and run it.
"""

from collections.abc import Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import AuditDrop, AuditPage, AuditSeal, Job


class SyncOperationCalls(SyncConnected):
    """Jobs, backups and the state of the suite."""

    def watch_job(self, job_id: str, *, timeout: float | None = None) -> Iterator[Job]:
        """Yield the job at once and at every change until it has ended. ``timeout`` None = no
        limit. A lost connection is restored, so that a state may be yielded twice."""
        return self._loop.iterate(self._client.watch_job(job_id, timeout=timeout))

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
