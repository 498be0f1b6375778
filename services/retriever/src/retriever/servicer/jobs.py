"""JobService, for the retriever's jobs, on gRPC: translate, call the use case, translate back."""
# ruff: noqa: ARG002, N802 - gRPC names the calls and hands each its context

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Any

import grpc

from retriever import wire
from servicekit.jobs import Job, JobNotFound, Jobs, JobState
from servicekit.requests import PageTokenInvalid, enter, page_size
from sightline.common.v1 import job_pb2, job_service_pb2_grpc
from sightline.common.v1 import job_service_pb2 as pb

JOB_SERVICE = "sightline.common.v1.JobService"
DEFAULT_PAGE = 50
MAX_PAGE = 1_000
WATCH_SECONDS = 0.25
OPEN = (JobState.PENDING, JobState.RUNNING)

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Follows jobs."""

    def __init__(self, catalogs: Collection[str], jobs: Jobs) -> None:
        self._catalogs = catalogs
        self._jobs = jobs

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> job_pb2.Job:
        return wire.job(await self._find(request))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        found = await self._jobs.list(
            catalog_id=catalog,
            kinds=(request.kind,) if request.kind else (),
            before=_read_token(request.page_token, catalog, request.kind),
            limit=size + 1,
        )
        more = len(found) > size
        token = _write_token(found[size - 1].id, catalog, request.kind) if more else ""
        return pb.ListJobsResponse(
            jobs=[wire.job(job) for job in found[:size]], next_page_token=token
        )

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> job_pb2.Job:
        job = await self._find(request)
        return wire.job(await self._jobs.cancel(job.id))

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[job_pb2.Job]:
        sent = None
        while True:
            job = await self._find(request)
            message = wire.job(job)
            if message != sent:
                yield message
                sent = message
            if job.state not in OPEN:
                return
            await asyncio.sleep(WATCH_SECONDS)

    async def _find(
        self, request: pb.GetJobRequest | pb.CancelJobRequest | pb.WatchJobRequest
    ) -> Job:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        job = await self._jobs.get(request.job_id.removeprefix(wire.JOB_OWNER))
        if job.catalog_id != catalog:
            raise JobNotFound(request.job_id)
        return job


def _write_token(job_id: str, catalog: str, kind: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([1, catalog, kind, job_id]).encode()).decode()


def _read_token(token: str, catalog: str, kind: str) -> str:
    """The job that the page before ended with; empty = first page."""
    if not token:
        return ""
    try:
        parts = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise PageTokenInvalid from error
    match parts:
        case [1, str(of), str(only), str(job_id)] if (of, only) == (catalog, kind) and job_id:
            return job_id
    raise PageTokenInvalid
