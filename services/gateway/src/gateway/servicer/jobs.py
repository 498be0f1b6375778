"""JobService on the wire: each job's owner stands in front of its id and serves it."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import grpc

from gateway.clients.calls import Caller
from gateway.model import JobNotFound, Peer
from gateway.servicer.requests import Context, admit
from servicekit.requests import page_size
from sightline.common.v1 import job_pb2, job_service_pb2_grpc
from sightline.common.v1 import job_service_pb2 as pb

NAME = "sightline.common.v1.JobService"
MOST_LISTED = 1_000

Owner = tuple[Caller, Any]
"""How to call a service's JobService: its caller and its stub."""


def owners(channels: Mapping[Peer, tuple[grpc.aio.Channel, Caller]]) -> dict[str, Owner]:
    """The services that have jobs, by what stands in front of their jobs' ids."""
    return {
        str(peer): (caller, job_service_pb2_grpc.JobServiceStub(channel))
        for peer, (channel, caller) in channels.items()
    }


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Passes each call on to the job's owner."""

    def __init__(self, catalogs: Sequence[str], by_prefix: Mapping[str, Owner]) -> None:
        self._catalogs = catalogs
        self._owners = by_prefix

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> job_pb2.Job:
        """One job."""
        caller, stub = self._owner(request)
        job: job_pb2.Job = await caller.call(stub.GetJob, request)
        return job

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """Jobs, newest first. The ranker is the only owner so far: its pages are passed on."""
        request.catalog_id = admit(request, self._catalogs)
        page_size(request.page_size, 0, MOST_LISTED)
        caller, stub = self._owners[Peer.RANKER]
        answer: pb.ListJobsResponse = await caller.call(stub.ListJobs, request)
        return answer

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> job_pb2.Job:
        """Ask a job to stop."""
        caller, stub = self._owner(request)
        job: job_pb2.Job = await caller.call(stub.CancelJob, request)
        return job

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[job_pb2.Job]:
        """The job at every change until it has ended."""
        caller, stub = self._owner(request)
        async for job in caller.stream(stub.WatchJob, request):
            yield job

    def _owner(self, request: Any) -> Owner:
        """The owner of the request's job; raises JobNotFound."""
        request.catalog_id = admit(request, self._catalogs)
        owner = self._owners.get(request.job_id.partition("/")[0])
        if owner is None:
            raise JobNotFound
        return owner
