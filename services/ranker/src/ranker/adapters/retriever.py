"""Client of the retriever: products and photo vectors for trainings, and the index for
publications."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import numpy as np

from ranker.domain.arrays import Floats
from ranker.domain.columns import products_of
from ranker.domain.errors import PublishIncomplete
from ranker.domain.features import PhotoVectors, Product
from servicekit.admission.access import PeerName
from servicekit.errors import ServiceError
from servicekit.rpc.channel import idempotent
from servicekit.rpc.owned import idempotent_of
from servicekit.status import from_rpc_error, from_status
from servicekit.telemetry import get_logger
from sightline.common.v1 import (
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    vector_pb2,
)
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.retriever.v1 import (
    index_service_pb2,
    product_service_pb2,
    product_service_pb2_grpc,
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
    """A generation of the collaborative space in the retriever."""

    name: str
    version: str
    """Version of the model."""
    live: bool
    """False if it was dropped."""
    verified: bool
    """True if it holds all written vectors and its verification passed."""
    active: bool
    previous: bool
    """True if a rollback in the retriever would activate it."""
    vector_count: int
    finding: str = ""
    """First finding of its verification; empty if none."""


class CollaborativeIndex:
    """Generations of the collaborative space with their vectors. Calls may raise Unavailable."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._admin = AdminServiceStub(channel)
        self._vectors = vector_service_pb2_grpc.VectorServiceStub(channel)
        self._jobs = job_service_pb2_grpc.JobServiceStub(channel)

    async def generations(self, catalog_id: str) -> Sequence[Published]:
        """Return the generations of the space, oldest first, dropped ones too."""
        request = index_service_pb2.ListGenerationsRequest(
            catalog_id=catalog_id, space=SPACE, include_dropped=True
        )
        answer = await answered(self._admin.ListGenerations(request, timeout=CALL_SECONDS))
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
        await answered(self._admin.CreateGeneration(request, timeout=CALL_SECONDS))

    async def write(
        self, catalog_id: str, version: str, product_ids: Sequence[str], vectors: Floats
    ) -> int:
        """Store the products' vectors. Return the number of products that the catalog no longer
        has."""
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
        answer = await answered(self._vectors.UpsertVectors(request, timeout=CALL_SECONDS))
        missing = 0
        for status in answer.statuses:
            if status.code:
                error = from_status(status)
                if error.reason != GONE:
                    raise error
                missing += 1
        return missing

    async def settle(self, catalog_id: str, name: str) -> str:
        """Request a job that ends when the index holds all written vectors. Return its id."""
        request = index_service_pb2.BackfillGenerationRequest(catalog_id=catalog_id, name=name)
        job = await answered(self._admin.BackfillGeneration(request, timeout=CALL_SECONDS))
        return str(job.job_id)

    async def verify(self, catalog_id: str, name: str) -> str:
        """Request a job that verifies the generation. Return its id."""
        request = index_service_pb2.VerifyGenerationRequest(catalog_id=catalog_id, name=name)
        job = await answered(self._admin.VerifyGeneration(request, timeout=CALL_SECONDS))
        return str(job.job_id)

    async def ended(self, catalog_id: str, job_id: str) -> bool:
        """Return whether the job has ended; PublishIncomplete if it failed."""
        request = job_service_pb2.GetJobRequest(catalog_id=catalog_id, job_id=job_id)
        job = await answered(self._jobs.GetJob(request, timeout=CALL_SECONDS))
        if job.state in OPEN:
            return False
        if job.state != job_pb2.Job.STATE_SUCCEEDED:
            why = job.error.message or "it was cancelled"
            raise PublishIncomplete(f"the retriever's {job.kind} job did not succeed: {why}")
        return True

    async def activate(self, catalog_id: str, name: str) -> None:
        request = index_service_pb2.ActivateGenerationRequest(catalog_id=catalog_id, name=name)
        await answered(self._admin.ActivateGeneration(request, timeout=CALL_SECONDS))

    async def drop(self, catalog_id: str, name: str) -> None:
        request = index_service_pb2.DropGenerationRequest(catalog_id=catalog_id, name=name)
        await answered(self._admin.DropGeneration(request, timeout=CALL_SECONDS))


async def answered(call: Awaitable[T]) -> T:
    """Return the answer, or raise the retriever's error as a ServiceError."""
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


IDEMPOTENT = (
    *idempotent(job_service_pb2, product_service_pb2, vector_service_pb2),
    *idempotent_of(PeerName.RETRIEVER),
)
"""Calls that the channel may retry."""

PAGE_SIZE = 1000
PAGE_SECONDS = 30.0

VISUAL = "visual"
NO_VECTORS = frozenset({"SPACE_UNAVAILABLE", "UNIMPLEMENTED"})
"""Reasons of a retriever without vectors: no photo is indexed, or its release is older."""


class Catalog:
    """The products of a catalog. Every call raises the retriever's error as a ServiceError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._products = product_service_pb2_grpc.ProductServiceStub(channel)
        self._vectors = vector_service_pb2_grpc.VectorServiceStub(channel)

    async def products(self, catalog_id: str) -> tuple[Product, ...]:
        """Return all products, sorted by id."""
        request = product_service_pb2.ListProductsRequest(
            catalog_id=catalog_id,
            page_size=PAGE_SIZE,
            view=product_service_pb2.PRODUCT_VIEW_COLUMNS,
        )
        products: dict[str, Product] = {}
        async for page in _pages(self._products.ListProducts, request):
            products |= {one.product_id: one for one in products_of(page.columns, "columns")}
        return tuple(products[item] for item in sorted(products))

    async def some(self, catalog_id: str, product_ids: Sequence[str]) -> Mapping[str, Product]:
        """Return those of up to 1,000 products that exist, by id. Does not wait for the
        retriever."""
        request = product_service_pb2.BatchGetProductsRequest(
            catalog_id=catalog_id,
            product_ids=product_ids,
            view=product_service_pb2.PRODUCT_VIEW_COLUMNS,
        )
        answer = await answered(self._products.BatchGetProducts(request, timeout=PAGE_SECONDS))
        return {one.product_id: one for one in products_of(answer.columns, "columns")}

    async def vectors(self, catalog_id: str) -> PhotoVectors | None:
        """Return the vectors of all products' photos, None without any: 4 bytes × dimension for
        each product in memory."""
        request = vector_service_pb2.ListVectorsRequest(
            catalog_id=catalog_id, space=VISUAL, page_size=PAGE_SIZE
        )
        vectors: dict[str, bytes] = {}
        version, dimension = "", 0
        try:
            async for page in _pages(self._vectors.ListVectors, request):
                dimension, version = page.dimension, page.space.version
                width = 4 * dimension
                for place, item in enumerate(page.product_ids):
                    vectors[item] = page.vectors[place * width : (place + 1) * width]
        except ServiceError as error:
            if error.reason not in NO_VECTORS and error.code not in NO_VECTORS:
                raise
            get_logger().info("no style is learned", reason=error.reason)
            return None
        ids = tuple(sorted(vectors))
        values = np.frombuffer(b"".join(vectors[item] for item in ids), "<f4")
        return PhotoVectors(ids, values.reshape(len(ids), dimension), version)


async def _pages(call: Callable[..., Awaitable[Any]], request: Any) -> AsyncIterator[Any]:
    """Yield all pages of a list; waits for a retriever that is starting."""
    while True:
        page = await answered(call(request, timeout=PAGE_SECONDS, wait_for_ready=True))
        yield page
        request.page_token = page.next_page_token
        if not request.page_token:
            return
