"""Spaces fitted on a catalog's photos."""

from collections.abc import Iterable

from sightline.embedder.v1 import embedding_service_pb2, space_service_pb2
from sightline.retriever.v1 import fit_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.operations import Job
from sightline_client.values.spaces import Space


class SpaceCalls(Connected):
    """Calls about spaces fitted on a catalog's photos."""

    async def fit_space(
        self,
        *,
        backbone: str = "",
        max_dimension: int = 0,
        seed: int = 0,
        max_photos: int = 0,
        shopper_photo_tags: Iterable[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that fits a visual space on the catalog's own photos, or return the one that
        is running; follow it with ``watch_job``. Its results name the ``space_version`` and the
        ``verdict``.

        Args:
            backbone: "" = the installation's own.
            max_dimension: 0 = 256.
            seed: Of the random numbers.
            max_photos: 0 = 50,000.
            shopper_photo_tags: Tags of products whose photos shoppers took.
            request_id: The same id returns the same job.
        """
        with to_wire.sendable("request"):
            request = fit_service_pb2.FitSpaceRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                backbone=backbone,
                max_dimension=max_dimension,
                seed=seed,
                max_photos=max_photos,
                shopper_photo_tags=shopper_photo_tags,
            )
        return from_wire.job(await self._call(self.calls.admin.FitSpace, request, timeout))

    async def list_spaces(
        self, *, include_all: bool = False, timeout: float | None = None
    ) -> tuple[Space, ...]:
        """Return the spaces that can be embedded into. ``include_all``: also fitted ones that are
        candidates or retired."""
        request = embedding_service_pb2.ListSpacesRequest(
            catalog_id=self.catalog, include_all=include_all
        )
        response = await self._call(self.calls.admin.ListSpaces, request, timeout)
        return tuple(map(from_wire.space, response.spaces))

    async def promote_space(
        self, version: str, *, force: bool = False, timeout: float | None = None
    ) -> Space:
        """Promote a fitted space, by its version or model. No effect if it serves already. Takes
        some seconds. FailedPrecondition: PROMOTION_REFUSED unless it is better, or ``force``;
        MODEL_NOT_READY when it can't be served. NotFound (SPACE_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = space_service_pb2.PromoteSpaceRequest(
                catalog_id=self.catalog, version=version, force=force
            )
        return from_wire.space(await self._call(self.calls.admin.PromoteSpace, request, timeout))

    async def retire_space(self, version: str, *, timeout: float | None = None) -> Space:
        """Take a fitted space out of service. FailedPrecondition (SPACE_IN_USE) while an index
        generation uses it."""
        with to_wire.sendable("request"):
            request = space_service_pb2.RetireSpaceRequest(catalog_id=self.catalog, version=version)
        return from_wire.space(await self._call(self.calls.admin.RetireSpace, request, timeout))
