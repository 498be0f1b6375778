"""JobService for the jobs of one store, shared by all services with jobs.

Needs the extra `sql` and the package sightline-protos.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from dataclasses import replace

from servicekit.errors import FailedPrecondition, Internal
from servicekit.jobs.queue import Job, JobNotFound, Jobs, JobState
from servicekit.rpc.messages import MessageWriter
from servicekit.rpc.requests import enter, page_place, page_size, page_token
from servicekit.rpc.server import Context
from servicekit.tasks.followed import FollowedValues
from sightline.common.v1 import job_pb2, job_service_pb2_grpc
from sightline.common.v1 import job_service_pb2 as pb

DEFAULT_PAGE = 50
MAX_PAGE = 1_000
WATCH_SECONDS = 0.25
"""Seconds between two reads of a watched job."""


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Serves the jobs of one store."""

    def __init__(
        self,
        owner: str,
        catalogs: Collection[str],
        jobs: Jobs,
        key_of: Callable[[str], str] = str,
    ) -> None:
        """`owner`: prefix of the jobs' ids on the wire, e.g. `retriever/`. `key_of`: returns what
        stands for a catalog in its jobs; by default its id."""
        self._owner = owner
        self._key_of = key_of
        self._catalogs = catalogs
        self._jobs = jobs
        self._followed = FollowedValues("jobs", jobs.get, WATCH_SECONDS, is_last=_has_ended)

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> job_pb2.Job:
        """Return one job."""
        return self._message(await self._find(request))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """Return a page of jobs, newest first."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        about = (catalog, request.kind)
        kinds = (request.kind,) if request.kind else tuple(request.kinds)
        found = await self._jobs.list(
            catalog_id=self._key_of(catalog),
            kinds=kinds,
            before="".join(page_place(request.page_token, about, str)),
            limit=size + 1,
            params=False,
        )
        page = found[:size]
        return pb.ListJobsResponse(
            jobs=[self._message(replace(job, catalog_id=catalog)) for job in page],
            next_page_token=page_token(about, page[-1].id) if len(found) > size else "",
        )

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> job_pb2.Job:
        """Request that a job stops."""
        job = await self._find(request)
        cancelled = await self._jobs.cancel(job.id)
        return self._message(replace(cancelled, catalog_id=job.catalog_id))

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[job_pb2.Job]:
        """Yield the job now and at every change until it has ended."""
        sent = None
        first = await self._find(request)
        async with aclosing(self._followed.follow(first.id, first)) as states:
            async for job in states:
                message = self._message(replace(job, catalog_id=first.catalog_id))
                if message != sent:
                    yield message
                    sent = message

    async def _find(
        self, request: pb.GetJobRequest | pb.CancelJobRequest | pb.WatchJobRequest
    ) -> Job:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        job = await self._jobs.get(request.job_id.removeprefix(self._owner))
        if job.catalog_id != self._key_of(catalog):
            raise JobNotFound(request.job_id)
        return replace(job, catalog_id=catalog)

    def _message(self, job: Job) -> job_pb2.Job:
        return job_message(job, self._owner)


def _has_ended(job: Job) -> bool:
    return job.state not in (JobState.PENDING, JobState.RUNNING)


def job_message(job: Job, owner: str) -> job_pb2.Job:
    """Return the job as a message. `owner`: see JobServicer."""
    results = [{"name": name, "value": str(value)} for name, value in job.result.items()]
    error = None
    if job.state is JobState.FAILED:
        kind = Internal if job.error_reason == "INTERNAL" else FailedPrecondition
        error = kind(job.error_message, reason=job.error_reason)
    return _message(job, job_id=owner + job.id, results=results, error=error)


_message = MessageWriter(
    {"create_time": "created_time", "start_time": "started_time", "end_time": "finished_time"}
).writer(job_pb2.Job, Job, job_id=None, results=None, error=None)
