"""The index: its generations, and a rebuild."""

from sightline.retriever.v1 import index_service_pb2, rebuild_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.operations import Generation, IndexMetric, IndexParameters, Job


class IndexCalls(Connected):
    """The index: its generations, and a rebuild."""

    async def create_generation(
        self,
        *,
        name: str = "",
        space: str = "",
        space_version: str = "",
        metric: IndexMetric = IndexMetric.COSINE,
        parameters: IndexParameters | None = None,
        timeout: float | None = None,
    ) -> Generation:
        """Registers an index generation; every write reaches it from then on, and a backfill brings
        what the catalog holds already. ``name`` "" = the suite makes one, ``space`` "" =
        "visual", ``space_version`` "" = the embedder's default one, ``parameters`` None = flat.
        AlreadyExists (GENERATION_EXISTS), FailedPrecondition (SPACE_UNAVAILABLE). Never tried again
        by itself."""
        with to_wire.sendable("request"):
            request = index_service_pb2.CreateGenerationRequest(
                catalog_id=self.catalog,
                name=name,
                space=space,
                space_version=space_version,
                metric=to_wire.index_metric(metric),
                parameters=to_wire.index_parameters(parameters or IndexParameters()),
            )
        return from_wire.generation(
            await self._call(self.calls.admin.CreateGeneration, request, timeout)
        )

    async def backfill_generation(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that embeds every stored photo that a generation lacks, or returns the one
        that is on it; follow it with ``watch_job``. NotFound (GENERATION_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = index_service_pb2.BackfillGenerationRequest(
                catalog_id=self.catalog, request_id=requests.own_id(request_id), name=name
            )
        return from_wire.job(
            await self._call(self.calls.admin.BackfillGeneration, request, timeout)
        )

    async def verify_generation(
        self,
        name: str,
        *,
        sample_size: int = 0,
        k: int = 0,
        min_recall: float = 0.0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that proves a generation; what it finds stands in ``list_generations``.
        ``sample_size`` 0 = 200 photos, ``k`` 0 = 100 neighbours, ``min_recall`` 0 = 0.98."""
        with to_wire.sendable("request"):
            request = index_service_pb2.VerifyGenerationRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                name=name,
                sample_size=sample_size,
                k=k,
                min_recall=min_recall,
            )
        return from_wire.job(await self._call(self.calls.admin.VerifyGeneration, request, timeout))

    async def activate_generation(
        self, name: str, *, force: bool = False, timeout: float | None = None
    ) -> Generation:
        """Makes a generation the active one of its space. FailedPrecondition
        (GENERATION_NOT_VERIFIED) unless its newest verification passed, or ``force``."""
        with to_wire.sendable("request"):
            request = index_service_pb2.ActivateGenerationRequest(
                catalog_id=self.catalog, name=name, force=force
            )
        return from_wire.generation(
            await self._call(self.calls.admin.ActivateGeneration, request, timeout)
        )

    async def rollback_generation(
        self, *, space: str = "", timeout: float | None = None
    ) -> Generation:
        """Makes the generation active again that was so before the present one of a space ("" =
        "visual"); FailedPrecondition (ROLLBACK_UNAVAILABLE). Never tried again by itself."""
        with to_wire.sendable("request"):
            request = index_service_pb2.RollbackGenerationRequest(
                catalog_id=self.catalog, space=space
            )
        return from_wire.generation(
            await self._call(self.calls.admin.RollbackGeneration, request, timeout)
        )

    async def drop_generation(self, name: str, *, timeout: float | None = None) -> Generation:
        """Drops a generation; a job clears up after it. FailedPrecondition (GENERATION_ACTIVE)."""
        with to_wire.sendable("request"):
            request = index_service_pb2.DropGenerationRequest(catalog_id=self.catalog, name=name)
        return from_wire.generation(
            await self._call(self.calls.admin.DropGeneration, request, timeout)
        )

    async def list_generations(
        self, *, space: str = "", include_dropped: bool = False, timeout: float | None = None
    ) -> tuple[Generation, ...]:
        """The index generations of a space ("" = of all), oldest first."""
        with to_wire.sendable("request"):
            request = index_service_pb2.ListGenerationsRequest(
                catalog_id=self.catalog, space=space, include_dropped=include_dropped
            )
        response = await self._call(self.calls.admin.ListGenerations, request, timeout)
        return tuple(from_wire.generation(message) for message in response.generations)

    async def rebuild_index(
        self, *, space: str = "", request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that makes a space's index hold again what the record says; it ends when
        the index does. "" = visual. FailedPrecondition (SPACE_UNAVAILABLE) when there is none."""
        with to_wire.sendable("request"):
            request = rebuild_service_pb2.RebuildIndexRequest(
                catalog_id=self.catalog, request_id=requests.own_id(request_id), space=space
            )
        return from_wire.job(await self._call(self.calls.admin.RebuildIndex, request, timeout))
