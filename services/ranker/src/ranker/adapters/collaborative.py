"""The retriever's index, as a publication writes to it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
import numpy as np

from ranker.domain.arrays import Floats
from ranker.domain.errors import PublishIncomplete
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc, vector_pb2
from sightline.retriever.v1 import (
    index_service_pb2,
    index_service_pb2_grpc,
    vector_service_pb2,
    vector_service_pb2_grpc,
)

SPACE = "collaborative"
CALL_SECONDS = 30.0
OPEN = (job_pb2.Job.STATE_PENDING, job_pb2.Job.STATE_RUNNING)
GONE = "PRODUCT_NOT_FOUND"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Published:
    """A generation of the space, as the retriever has it."""

    name: str
    version: str
    """The model's."""
    live: bool
    """Whether it was not dropped."""
    verified: bool
    """Whether it holds all that was written, and its verification passed."""
    active: bool
    previous: bool
    """Whether a rollback in the retriever would make it active."""
    vector_count: int
    finding: str = ""
    """What its verification found wrong first; empty = nothing, or there was none."""


class CollaborativeIndex:
    """Generations of the space and their vectors. Any call may raise Unavailable."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._index = index_service_pb2_grpc.IndexServiceStub(channel)
        self._vectors = vector_service_pb2_grpc.VectorServiceStub(channel)
        self._jobs = job_service_pb2_grpc.JobServiceStub(channel)

    async def generations(self, catalog_id: str) -> Sequence[Published]:
        """Those of the space, oldest first, dropped ones too."""
        request = index_service_pb2.ListGenerationsRequest(
            catalog_id=catalog_id, space=SPACE, include_dropped=True
        )
        answer = await told(self._index.ListGenerations(request, timeout=CALL_SECONDS))
        return [_published(one) for one in answer.generations]

    async def create(
        self, catalog_id: str, name: str, version: str, dimension: int, *, graph: bool
    ) -> None:
        """Register a generation, searched through a graph or exactly. AlreadyExists."""
        parameters = index_service_pb2.IndexParameters
        request = index_service_pb2.CreateGenerationRequest(
            catalog_id=catalog_id,
            name=name,
            space=SPACE,
            space_version=version,
            dimension=dimension,
            metric=index_service_pb2.METRIC_IP,
            parameters=parameters(kind=parameters.KIND_HNSW if graph else parameters.KIND_FLAT),
        )
        await told(self._index.CreateGeneration(request, timeout=CALL_SECONDS))

    async def write(
        self, catalog_id: str, version: str, product_ids: Sequence[str], vectors: Floats
    ) -> int:
        """Store the products' vectors; how many of them the catalogue has no more."""
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        request = vector_service_pb2.UpsertVectorsRequest(
            catalog_id=catalog_id,
            vectors=[
                vector_service_pb2.ImageVector(
                    product_id=item,
                    vector=vector_pb2.Vector(
                        space=SPACE,
                        space_version=version,
                        dimension=rows.shape[1],
                        data=row.tobytes(),
                    ),
                )
                for item, row in zip(product_ids, rows, strict=True)
            ],
        )
        answer = await told(self._vectors.UpsertVectors(request, timeout=CALL_SECONDS))
        missing = 0
        for status in answer.statuses:
            if status.code:
                error = from_status(status)
                if error.reason != GONE:
                    raise error
                missing += 1
        return missing

    async def settle(self, catalog_id: str, name: str) -> str:
        """Ask for a job that ends when the index holds what was written; its id."""
        request = index_service_pb2.BackfillGenerationRequest(catalog_id=catalog_id, name=name)
        job = await told(self._index.BackfillGeneration(request, timeout=CALL_SECONDS))
        return str(job.job_id)

    async def verify(self, catalog_id: str, name: str) -> str:
        """Ask for a job that verifies the generation; its id."""
        request = index_service_pb2.VerifyGenerationRequest(catalog_id=catalog_id, name=name)
        job = await told(self._index.VerifyGeneration(request, timeout=CALL_SECONDS))
        return str(job.job_id)

    async def ended(self, catalog_id: str, job_id: str) -> bool:
        """Whether such a job has ended. PublishIncomplete when it did not succeed."""
        request = job_service_pb2.GetJobRequest(catalog_id=catalog_id, job_id=job_id)
        job = await told(self._jobs.GetJob(request, timeout=CALL_SECONDS))
        if job.state in OPEN:
            return False
        if job.state != job_pb2.Job.STATE_SUCCEEDED:
            why = job.error.message or "it was cancelled"
            raise PublishIncomplete(f"the retriever's {job.kind} job did not succeed: {why}")
        return True

    async def activate(self, catalog_id: str, name: str) -> None:
        """Make it the active one."""
        request = index_service_pb2.ActivateGenerationRequest(catalog_id=catalog_id, name=name)
        await told(self._index.ActivateGeneration(request, timeout=CALL_SECONDS))

    async def drop(self, catalog_id: str, name: str) -> None:
        """Take it out of service."""
        request = index_service_pb2.DropGenerationRequest(catalog_id=catalog_id, name=name)
        await told(self._index.DropGeneration(request, timeout=CALL_SECONDS))


async def told(call: Awaitable[T]) -> T:
    """The answer, or what the retriever says as a ServiceError."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


def _published(made: index_service_pb2.Generation) -> Published:
    return Published(
        name=made.name,
        version=made.space_version,
        live=made.state != index_service_pb2.Generation.STATE_DROPPED,
        verified=made.state == index_service_pb2.Generation.STATE_READY
        and made.verification.passed,
        active=made.active,
        previous=made.previous,
        vector_count=made.indexed_count,
        finding=next(iter(made.verification.findings), ""),
    )
