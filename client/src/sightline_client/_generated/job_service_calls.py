"""Calls of JobService.

Made by generate_sync.py from
api/_generated/job_service_calls.py: change that one and run it.
"""

from collections.abc import Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import Job


class SyncJobServiceCalls(SyncConnected):
    """Calls of JobService."""

    def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Return a job. Fails with JOB_NOT_FOUND if the catalog has no job with this id,
        ROLE_MISSING if the caller may not see jobs of its kind.

        Args:
            job_id: Id of the job.

        Raises:
            NotFound: JOB_NOT_FOUND.
            PermissionDenied: ROLE_MISSING.
        """
        return self._loop.run(self._client.get_job(job_id, timeout=timeout))

    def list_jobs(self, *, kind: str = "", timeout: float | None = None) -> Iterator[Job]:
        """Yield the jobs of a catalog that the caller may see, newest first. They are read page by
        page; ``timeout`` is that of one page.

        Args:
            kind: Kind of job. If empty, all kinds that the caller may see.
        """
        return self._loop.iterate(self._client.list_jobs(kind=kind, timeout=timeout))

    def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Request that a job stop. It soon ends in CANCELLED, unless it ends otherwise before.
        Cancelling a job that has ended has no effect. Return the job in its current state. Fails
        with ROLE_MISSING if the caller may not cancel jobs of its kind.

        Args:
            job_id: Id of the job.

        Raises:
            PermissionDenied: ROLE_MISSING.
        """
        return self._loop.run(self._client.cancel_job(job_id, timeout=timeout))
