"""The index: generations and rebuilds."""

from sightline.retriever.v1 import index_service_pb2, rebuild_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.operations import Generation, IndexMetric, IndexParameters, Job


class IndexCalls(Connected):
    """Calls about the index: generations and rebuilds."""

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
        """Register an index generation. Every later write reaches it; a backfill adds what the
        catalog holds already.

        AlreadyExists (GENERATION_EXISTS), FailedPrecondition (SPACE_UNAVAILABLE). Never retried
        automatically.

        Args:
            name: "" = the suite makes one.
            space: "" = "visual".
            space_version: "" = the embedder's default version.
            metric: How the distance of two vectors is measured.
            parameters: How the generation is searched; None = flat.
        """
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
        """Start a job that embeds every stored photo that a generation lacks, or return the one
        that is running; follow it with ``watch_job``. NotFound (GENERATION_NOT_FOUND). The same
        ``request_id`` returns the same job."""
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
        """Start a job that verifies a generation; ``list_generations`` shows what it measured.
        ``sample_size`` 0 = 200 photos, ``k`` 0 = 100 neighbours, ``min_recall`` 0 = 0.98. The same
        ``request_id`` returns the same job."""
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
        """Make a generation the active one of its space. FailedPrecondition
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
        """Activate again the generation of ``space`` ("" = "visual") that was active before the
        present one. FailedPrecondition (ROLLBACK_UNAVAILABLE). Never retried automatically."""
        with to_wire.sendable("request"):
            request = index_service_pb2.RollbackGenerationRequest(
                catalog_id=self.catalog, space=space
            )
        return from_wire.generation(
            await self._call(self.calls.admin.RollbackGeneration, request, timeout)
        )

    async def drop_generation(self, name: str, *, timeout: float | None = None) -> Generation:
        """Drop a generation; a job deletes its data. FailedPrecondition (GENERATION_ACTIVE)."""
        with to_wire.sendable("request"):
            request = index_service_pb2.DropGenerationRequest(catalog_id=self.catalog, name=name)
        return from_wire.generation(
            await self._call(self.calls.admin.DropGeneration, request, timeout)
        )

    async def list_generations(
        self, *, space: str = "", include_dropped: bool = False, timeout: float | None = None
    ) -> tuple[Generation, ...]:
        """Return the index generations of ``space`` ("" = of all), oldest first; dropped ones with
        ``include_dropped``."""
        with to_wire.sendable("request"):
            request = index_service_pb2.ListGenerationsRequest(
                catalog_id=self.catalog, space=space, include_dropped=include_dropped
            )
        response = await self._call(self.calls.admin.ListGenerations, request, timeout)
        return tuple(from_wire.generation(message) for message in response.generations)

    async def rebuild_index(
        self, *, space: str = "", request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that rebuilds the index of ``space`` ("" = "visual") from the record. The
        same ``request_id`` returns the same job. FailedPrecondition (SPACE_UNAVAILABLE) when the
        space does not exist."""
        with to_wire.sendable("request"):
            request = rebuild_service_pb2.RebuildIndexRequest(
                catalog_id=self.catalog, request_id=requests.own_id(request_id), space=space
            )
        return from_wire.job(await self._call(self.calls.admin.RebuildIndex, request, timeout))
