"""JobService: each job's id begins with its owner, which serves the call."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import aclosing
from typing import Any

from gateway.admin import merged_lists
from gateway.admin.merged_lists import Entry
from gateway.callers import job_access
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.servicer.list_tokens import ListTokens
from gateway.servicer.passthrough import OPTIONAL, Connection
from gateway.servicer.requests import admit
from servicekit.errors import NotFound
from servicekit.keys.keyring import SigningKeys
from servicekit.rpc.requests import page_size
from servicekit.rpc.server import Context
from sightline.common.v1 import job_pb2, job_service_pb2_grpc
from sightline.common.v1 import job_service_pb2 as pb

DEFAULT_PAGE = 50
MOST_LISTED = 1_000

OWNERS = (Peer.RETRIEVER, Peer.RANKER, *OPTIONAL)
"""Services with jobs; their names are the prefixes of their jobs' ids."""

Owner = tuple[PeerCaller, "job_service_pb2_grpc.JobServiceAsyncStub"]
"""A service's caller and the stub of its JobService."""


class JobProxyServicer(job_service_pb2_grpc.JobServiceServicer):
    """Servicer that passes each call to the job's owner."""

    def __init__(
        self, catalogs: Collection[str], connections: Mapping[Peer, Connection], keys: SigningKeys
    ) -> None:
        """`keys` sign page tokens."""
        self._catalogs = catalogs
        self._tokens = ListTokens("ListJobs", keys)
        self._owners: dict[str, Owner] = {}
        for peer in filter(connections.__contains__, OWNERS):
            channel, caller = connections[peer]
            self._owners[str(peer)] = caller, job_service_pb2_grpc.JobServiceStub(channel)

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> job_pb2.Job:
        """Return one job."""
        caller, stub = self._owner(request)
        job: job_pb2.Job = await caller.call(stub.GetJob, request)
        job_access.check_see(job.kind)
        return job

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """List the jobs of all owners that the caller may see, newest first.

        An owner that does not answer fails the call, as a list without its jobs would look
        complete.
        """
        request.catalog_id = admit(request, self._catalogs)
        if request.kind:
            job_access.check_see(request.kind)
        request.kinds[:] = job_access.visible()
        entries, token = await merged_lists.merged(
            {name: self._lister(owner, request) for name, owner in self._owners.items()},
            about=("jobs", request.catalog_id, request.kind),
            size=page_size(request.page_size, DEFAULT_PAGE, MOST_LISTED),
            token=self._tokens.opened(request),
        )
        token = self._tokens.sealed(request, token)
        return pb.ListJobsResponse(jobs=[entry.body for entry in entries], next_page_token=token)

    def _lister(self, owner: Owner, request: pb.ListJobsRequest) -> merged_lists.Fetch:
        caller, stub = owner

        async def fetch(page_token: str, size: int) -> tuple[list[Entry], str]:
            mine = pb.ListJobsRequest(
                catalog_id=request.catalog_id,
                request_id=request.request_id,
                kind=request.kind,
                kinds=request.kinds,
                page_size=size,
                page_token=page_token,
            )
            answer = await caller.call(stub.ListJobs, mine)
            entries = [
                Entry(job.job_id, job.create_time.ToMicroseconds(), job)
                for job in answer.jobs
                if job.kind in request.kinds  # whatever an owner lists
            ]
            return entries, answer.next_page_token

        return fetch

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> job_pb2.Job:
        """Request that a job stops."""
        caller, stub = self._owner(request)
        asked = pb.GetJobRequest(
            catalog_id=request.catalog_id, request_id=request.request_id, job_id=request.job_id
        )
        job: job_pb2.Job = await caller.call(stub.GetJob, asked)
        job_access.check_cancel(job.kind)
        return await caller.call(stub.CancelJob, request)

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[job_pb2.Job]:
        """Yield the job at every change until it has ended."""
        caller, stub = self._owner(request)
        async with aclosing(caller.stream(stub.WatchJob, request)) as jobs:
            async for job in jobs:
                job_access.check_see(job.kind)
                yield job

    def _owner(self, request: Any) -> Owner:
        """Return the owner of the request's job. Raises NotFound (JOB_NOT_FOUND)."""
        request.catalog_id = admit(request, self._catalogs)
        owner = self._owners.get(request.job_id.partition("/")[0])
        if owner is None:
            raise NotFound("the catalog has no job with this id", reason="JOB_NOT_FOUND")
        return owner
