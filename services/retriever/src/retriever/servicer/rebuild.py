"""RebuildService on gRPC: translate, call the use case, translate back."""
# ruff: noqa: ARG002, N802 - gRPC names the calls and hands each its context

from collections.abc import Collection

from retriever.indexing import rebuild
from retriever.ports.search import SearchRecord
from retriever.servicer import messages as wire
from servicekit.jobs import Jobs
from servicekit.requests import enter
from servicekit.server import Context
from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import rebuild_service_pb2 as pb
from sightline.retriever.v1 import rebuild_service_pb2_grpc


class RebuildServicer(rebuild_service_pb2_grpc.RebuildServiceServicer):
    """Asks the worker to rebuild an index."""

    def __init__(self, catalogs: Collection[str], record: SearchRecord, jobs: Jobs) -> None:
        self._catalogs = catalogs
        self._record = record
        self._jobs = jobs

    async def RebuildIndex(self, request: pb.RebuildIndexRequest, context: Context) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        job = await rebuild.ask(
            catalog, request.space, self._record, self._jobs, request_id=request.request_id
        )
        return wire.job(job)
