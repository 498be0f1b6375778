"""IndexService, RebuildService and FitService on gRPC: translate, call the use case, answer."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.domain.fit_plan import FitPlan
from retriever.domain.generation import DEFAULT_SPACE
from retriever.indexing import fits, generations, rebuild
from retriever.record import Record
from retriever.servicer import generation_messages
from retriever.servicer import messages as wire
from servicekit.jobs.queue import Jobs
from servicekit.rpc.messages import value_of
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import (
    fit_service_pb2,
    rebuild_service_pb2,
)
from sightline.retriever.v1 import index_service_pb2 as pb


@dataclass(frozen=True)
class IndexServicer:
    """Servicer of index_service.proto."""

    catalogs: Collection[str]
    record: Record
    jobs: Jobs
    prefix: str
    """Prefix of the names of collections."""

    async def CreateGeneration(
        self, request: pb.CreateGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        order = generation_messages.generation_order(request, DEFAULT_SPACE)
        made = await generations.create(catalog, order, self.prefix, self.record)
        return generation_messages.generation(made)

    async def BackfillGeneration(
        self, request: pb.BackfillGenerationRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        job = await generations.backfill(
            catalog, request.name, self.record, self.jobs, request_id=request.request_id
        )
        return wire.job(job)

    async def VerifyGeneration(
        self, request: pb.VerifyGenerationRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        job = await generations.verify(
            catalog,
            request.name,
            value_of(generations.Demand, request),
            self.record,
            self.jobs,
            request_id=request.request_id,
        )
        return wire.job(job)

    async def ActivateGeneration(
        self, request: pb.ActivateGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        made = await generations.activate(catalog, request.name, self.record, force=request.force)
        return generation_messages.generation(made)

    async def RollbackGeneration(
        self, request: pb.RollbackGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        space = request.space or DEFAULT_SPACE
        return generation_messages.generation(
            await generations.rollback(catalog, space, self.record)
        )

    async def DropGeneration(
        self, request: pb.DropGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        return generation_messages.generation(
            await generations.drop(catalog, request.name, self.record, self.jobs)
        )

    async def ListGenerations(
        self, request: pb.ListGenerationsRequest, context: Context
    ) -> pb.ListGenerationsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found = await self.record.statuses(catalog, request.space, dropped=request.include_dropped)
        return pb.ListGenerationsResponse(generations=map(generation_messages.generation, found))


@dataclass(frozen=True)
class RebuildServicer:
    """Creates jobs that rebuild an index."""

    catalogs: Collection[str]
    record: Record
    jobs: Jobs

    async def RebuildIndex(
        self, request: rebuild_service_pb2.RebuildIndexRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        job = await rebuild.ask(
            catalog, request.space, self.record, self.jobs, request_id=request.request_id
        )
        return wire.job(job)


@dataclass(frozen=True)
class FitServicer:
    """Creates jobs that fit spaces."""

    catalogs: Collection[str]
    jobs: Jobs

    async def FitSpace(
        self, request: fit_service_pb2.FitSpaceRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        wanted = fits.plan(value_of(FitPlan, request))
        job = await fits.ask(catalog, wanted, self.jobs, request_id=request.request_id)
        return wire.job(job)
