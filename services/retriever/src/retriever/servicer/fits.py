"""FitService on gRPC: translate, call the use case, translate back."""
# ruff: noqa: ARG002, N802 - gRPC names the calls and hands each its context

from collections.abc import Collection

from retriever.domain.fitting import FitPlan
from retriever.indexing import fits
from retriever.servicer import messages as wire
from servicekit.jobs import Jobs
from servicekit.requests import enter
from servicekit.server import Context
from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import fit_service_pb2 as pb
from sightline.retriever.v1 import fit_service_pb2_grpc


class FitServicer(fit_service_pb2_grpc.FitServiceServicer):
    """Asks the worker to have a space fitted."""

    def __init__(self, catalogs: Collection[str], jobs: Jobs) -> None:
        self._catalogs = catalogs
        self._jobs = jobs

    async def FitSpace(self, request: pb.FitSpaceRequest, context: Context) -> job_pb2.Job:
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
