"""JobService on the wire, for the ranker's jobs."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

import asyncio
from collections.abc import AsyncIterator, Sequence

from ranker.servicer.requests import (
    DEFAULT_PAGE,
    LARGEST_PAGE,
    Context,
    page_place,
    page_token,
    timestamp,
)
from servicekit.errors import FailedPrecondition, Internal
from servicekit.jobs import Job, JobNotFound, Jobs, JobState
from servicekit.requests import catalog, enter, page_size
from servicekit.status import to_status
from sightline.common.v1 import job_pb2, job_service_pb2_grpc
from sightline.common.v1 import job_service_pb2 as pb

OWNER = "ranker/"
WATCH_SECONDS = 0.25

STATES = {state: job_pb2.Job.State.Value(f"STATE_{state.value}") for state in JobState}
OPEN = (JobState.PENDING, JobState.RUNNING)


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Follows jobs."""

    def __init__(self, catalogs: Sequence[str], jobs: Jobs) -> None:
        self._catalogs = catalogs
        self._jobs = jobs

    async def GetJob(
        self,
        request: pb.GetJobRequest,
        context: Context,
    ) -> job_pb2.Job:
        """One job."""
        return job_message(await self._find(request.catalog_id, request.job_id))

    async def ListJobs(
        self,
        request: pb.ListJobsRequest,
        context: Context,
    ) -> pb.ListJobsResponse:
        """Jobs, newest first."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        size = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)
        place = page_place(f"jobs of {catalog_id}", request.page_token, (str,))
        found = await self._jobs.list(
            catalog_id=catalog_id,
            kinds=(request.kind,) if request.kind else (),
            before=str(place[0]) if place else "",
            limit=size + 1,
        )
        page = found[:size]
        return pb.ListJobsResponse(
            jobs=map(job_message, page),
            next_page_token=page_token(f"jobs of {catalog_id}", (page[-1].id,))
            if len(found) > size
            else "",
        )

    async def CancelJob(
        self,
        request: pb.CancelJobRequest,
        context: Context,
    ) -> job_pb2.Job:
        """Ask a job to stop."""
        job = await self._find(request.catalog_id, request.job_id)
        return job_message(await self._jobs.cancel(job.id))

    async def WatchJob(
        self,
        request: pb.WatchJobRequest,
        context: Context,
    ) -> AsyncIterator[job_pb2.Job]:
        """The job now and at every change until it has ended."""
        sent = None
        while True:
            job = await self._find(request.catalog_id, request.job_id)
            message = job_message(job)
            if message != sent:
                yield message
                sent = message
            if job.state not in OPEN:
                return
            await asyncio.sleep(WATCH_SECONDS)

    async def _find(self, catalog_id: str, job_id: str) -> Job:
        catalog_id = catalog(catalog_id, self._catalogs)
        job = await self._jobs.get(job_id.removeprefix(OWNER))
        if job.catalog_id != catalog_id:
            raise JobNotFound(job_id)
        return job


def job_message(job: Job) -> job_pb2.Job:
    """The job as the wire shows it."""
    message = job_pb2.Job(
        job_id=OWNER + job.id,
        kind=job.kind,
        catalog_id=job.catalog_id,
        state=STATES[job.state],
        done=job.done,
        total=job.total,
        results=[
            job_pb2.JobResult(name=name, value=str(value)) for name, value in job.result.items()
        ],
        create_time=timestamp(job.created_time),
    )
    if job.state is JobState.FAILED:
        kind = Internal if job.error_reason == "INTERNAL" else FailedPrecondition
        message.error.CopyFrom(to_status(kind(job.error_message, reason=job.error_reason)))
    if job.started_time:
        message.start_time.CopyFrom(timestamp(job.started_time))
    if job.finished_time:
        message.end_time.CopyFrom(timestamp(job.finished_time))
    return message
