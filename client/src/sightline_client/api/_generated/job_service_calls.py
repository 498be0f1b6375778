"""Calls of JobService.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import AsyncIterator

from sightline.common.v1 import job_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire
from sightline_client.values.operations import Job


class JobServiceCalls(Connected):
    """Calls of JobService."""

    async def get_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Return a job. Fails with JOB_NOT_FOUND if the catalog has no job with this id,
        ROLE_MISSING if the caller may not see jobs of its kind.

        Args:
            job_id: Id of the job.

        Raises:
            NotFound: JOB_NOT_FOUND.
            PermissionDenied: ROLE_MISSING.
        """
        return from_wire.job(
            await self._ask(
                self.calls.jobs.GetJob, job_service_pb2.GetJobRequest, timeout, job_id=job_id
            )
        )

    async def list_jobs(
        self, *, kind: str = "", timeout: float | None = None
    ) -> AsyncIterator[Job]:
        """Yield the jobs of a catalog that the caller may see, newest first. They are read page by
        page; ``timeout`` is that of one page.

        Args:
            kind: Kind of job. If empty, all kinds that the caller may see.
        """
        async for page in self._ask_pages(
            self.calls.jobs.ListJobs,
            job_service_pb2.ListJobsRequest,
            timeout,
            kind=kind,
            page_size=1000,
        ):
            for each in page.jobs:
                yield from_wire.job(each)

    async def cancel_job(self, job_id: str, *, timeout: float | None = None) -> Job:
        """Request that a job stop. It soon ends in CANCELLED, unless it ends otherwise before.
        Cancelling a job that has ended has no effect. Return the job in its current state. Fails
        with ROLE_MISSING if the caller may not cancel jobs of its kind.

        Args:
            job_id: Id of the job.

        Raises:
            PermissionDenied: ROLE_MISSING.
        """
        return from_wire.job(
            await self._ask(
                self.calls.jobs.CancelJob, job_service_pb2.CancelJobRequest, timeout, job_id=job_id
            )
        )
