"""IndexService, RebuildService and FitService on gRPC: translate, call the use case, answer."""

from collections.abc import Collection

from retriever.domain.fitting import FitPlan
from retriever.domain.generation import DEFAULT_SPACE
from retriever.indexing import fits, generations, rebuild
from retriever.ports.generations import RegistryRecord
from retriever.ports.search import SearchRecord
from retriever.servicer import generation_messages
from retriever.servicer import messages as wire
from servicekit.jobs import Jobs
from servicekit.requests import enter
from servicekit.server import Context
from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import (
    fit_service_pb2,
    fit_service_pb2_grpc,
    index_service_pb2_grpc,
    rebuild_service_pb2,
    rebuild_service_pb2_grpc,
)
from sightline.retriever.v1 import index_service_pb2 as pb


class IndexServicer(index_service_pb2_grpc.IndexServiceServicer):
    """Generations, as index_service.proto describes them."""

    def __init__(
        self, catalogs: Collection[str], record: RegistryRecord, jobs: Jobs, prefix: str
    ) -> None:
        """`prefix`: what the names of collections begin with."""
        self._catalogs = catalogs
        self._record = record
        self._jobs = jobs
        self._prefix = prefix

    async def CreateGeneration(
        self, request: pb.CreateGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        order = generation_messages.generation_order(request, DEFAULT_SPACE)
        made = await generations.create(catalog, order, self._prefix, self._record)
        return generation_messages.generation(made)

    async def BackfillGeneration(
        self, request: pb.BackfillGenerationRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        job = await generations.backfill(
            catalog, request.name, self._record, self._jobs, request_id=request.request_id
        )
        return wire.job(job)

    async def VerifyGeneration(
        self, request: pb.VerifyGenerationRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        job = await generations.verify(
            catalog,
            request.name,
            generation_messages.demand(request),
            self._record,
            self._jobs,
            request_id=request.request_id,
        )
        return wire.job(job)

    async def ActivateGeneration(
        self, request: pb.ActivateGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        made = await generations.activate(catalog, request.name, self._record, force=request.force)
        return generation_messages.generation(made)

    async def RollbackGeneration(
        self, request: pb.RollbackGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        space = request.space or DEFAULT_SPACE
        return generation_messages.generation(
            await generations.rollback(catalog, space, self._record)
        )

    async def DropGeneration(
        self, request: pb.DropGenerationRequest, context: Context
    ) -> pb.Generation:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        return generation_messages.generation(
            await generations.drop(catalog, request.name, self._record, self._jobs)
        )

    async def ListGenerations(
        self, request: pb.ListGenerationsRequest, context: Context
    ) -> pb.ListGenerationsResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        found = await generations.list_generations(
            catalog, request.space, self._record, dropped=request.include_dropped
        )
        return pb.ListGenerationsResponse(generations=map(generation_messages.generation, found))


class RebuildServicer(rebuild_service_pb2_grpc.RebuildServiceServicer):
    """Asks the worker to rebuild an index."""

    def __init__(self, catalogs: Collection[str], record: SearchRecord, jobs: Jobs) -> None:
        self._catalogs = catalogs
        self._record = record
        self._jobs = jobs

    async def RebuildIndex(
        self, request: rebuild_service_pb2.RebuildIndexRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        job = await rebuild.ask(
            catalog, request.space, self._record, self._jobs, request_id=request.request_id
        )
        return wire.job(job)


class FitServicer(fit_service_pb2_grpc.FitServiceServicer):
    """Asks the worker to have a space fitted."""

    def __init__(self, catalogs: Collection[str], jobs: Jobs) -> None:
        self._catalogs = catalogs
        self._jobs = jobs

    async def FitSpace(
        self, request: fit_service_pb2.FitSpaceRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        given = FitPlan(
            request.backbone,
            request.max_dimension,
            request.seed,
            request.max_photos,
            tuple(request.shopper_photo_tags),
        )
        wanted = fits.plan(given)
        job = await fits.ask(catalog, wanted, self._jobs, request_id=request.request_id)
        return wire.job(job)
