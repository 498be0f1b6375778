"""Servicer of sightline.embedder.v1.SpaceService."""

from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import Any

from embedder.domain.errors import FitInvalid
from embedder.domain.fits import FitPhoto, FitSettings
from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.photos import Camera
from embedder.servicer import messages
from embedder.spaces.learn import Learner
from embedder.spaces.promote import Promotion
from servicekit.rpc.requests import RequestInvalid, enter
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as embedding_pb
from sightline.embedder.v1 import space_service_pb2 as pb
from sightline.embedder.v1 import space_service_pb2_grpc

LEAST_DIMENSION, MOST_DIMENSION = 16, 256
MOST_NAME = 256
"""Maximum characters of a product's id, or of one level of a category."""


class SpaceServicer(space_service_pb2_grpc.SpaceServiceServicer):
    """Implementation of SpaceService."""

    def __init__(self, learner: Learner, promotion: Promotion, catalogs: Collection[str]) -> None:
        self._learner = learner
        self._promotion = promotion
        self._catalogs = catalogs

    async def FitSpace(
        self, requests: AsyncIterator[pb.FitSpaceRequest], _context: Any
    ) -> AsyncIterator[pb.FitSpaceResponse]:
        """Fit a space on the streamed photos, and report progress."""
        settings = self._settings(await anext(aiter(requests), pb.FitSpaceRequest()))
        async with aclosing(self._learner.fit(settings, _photos(requests))) as steps:
            async for progress in steps:
                answer = pb.FitSpaceResponse(
                    done=progress.done, stage=progress.stage, skipped=progress.skipped
                )
                if progress.candidate is not None:
                    answer.space.CopyFrom(
                        messages.space(progress.candidate, ServingState.CANDIDATE)
                    )
                yield answer

    async def PromoteSpace(
        self, request: pb.PromoteSpaceRequest, _context: Any
    ) -> embedding_pb.Space:
        """Bring a candidate into service."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        found = await self._promotion.promote(catalog, request.version, force=request.force)
        return _serving(found)

    async def RetireSpace(
        self, request: pb.RetireSpaceRequest, _context: Any
    ) -> embedding_pb.Space:
        """Take a space out of service."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        found, standing = await self._promotion.retire(catalog, request.version)
        return messages.space(found, standing)

    def _settings(self, request: pb.FitSpaceRequest) -> FitSettings:
        if request.WhichOneof("content") != "settings":
            wanted = "the first message of the stream must hold the settings"
            raise RequestInvalid.at("settings", wanted)
        given = request.settings
        catalog = enter(given.catalog_id, given.request_id, self._catalogs)
        most = given.max_dimension or MOST_DIMENSION
        if not LEAST_DIMENSION <= most <= MOST_DIMENSION:
            wanted = f"must be {LEAST_DIMENSION} to {MOST_DIMENSION}, or 0 for {MOST_DIMENSION}"
            raise RequestInvalid.at("settings.max_dimension", wanted)
        tags = tuple(given.shopper_photo_tags)
        return FitSettings(catalog, given.backbone, most, given.seed, tags)


def _serving(found: SpaceManifest) -> embedding_pb.Space:
    message = messages.space(found, ServingState.SERVING)
    message.ready = True  # the fit has just read these photos
    return message


async def _photos(requests: AsyncIterator[pb.FitSpaceRequest]) -> AsyncIterator[FitPhoto]:
    async for request in requests:
        photo = request.photo
        if request.WhichOneof("content") != "photo" or not photo.product_id:
            wanted = "every message after the settings must hold a photo of a product"
            raise RequestInvalid.at("photo", wanted)
        if (
            max(map(len, (photo.product_id, photo.duplicate_group, *photo.category_path)))
            > MOST_NAME
        ):
            raise FitInvalid(f"ids, groups and categories have at most {MOST_NAME} characters")
        shopper = photo.kind == photo_pb2.PHOTO_KIND_SHOPPER
        yield FitPhoto(
            image=photo.image,
            product=photo.product_id,
            title=photo.title,
            category=tuple(photo.category_path),
            camera=Camera.SHOPPER if shopper else Camera.CATALOGUE,
            group=photo.duplicate_group,
        )
