"""Objects in callers' photos, found and compared by the embedder."""

from typing import cast

from servicekit.admission import costs
from servicekit.errors import FailedPrecondition, InvalidArgument, ServiceError
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_rules.photo_areas import PhotoArea
from vision.adapters.embedder import EmbedderFrames
from vision.adapters.peer_calls import call
from vision.domain.detections import DrawnHeatMap, SentPhoto
from vision.domain.errors import EmbedderUnavailable, ImageRejected, ImageUnreadable
from vision.domain.objects import FoundObjects

COMPARED = 0.1
"""Processor seconds of models for the heat map of a detection, which no service measures."""


class EmbedderPhotos:
    """See PhotoObjects in ports/detecting.py."""

    def __init__(self, frames: EmbedderFrames) -> None:
        """Use the client of frames, and its channel."""
        self._frames = frames
        self._stub = pb_grpc.EmbeddingServiceStub(frames.channel)

    async def objects(
        self, catalog_id: str, photo: SentPhoto, version: str, *, most: int, priority: int
    ) -> FoundObjects:
        request = pb.EmbedRegionsRequest(
            catalog_id=catalog_id,
            space_version=version,
            max_regions=most,
            priority=cast(vector_pb2.Priority.ValueType, priority),
        )
        _add(photo, request)
        try:
            return await self._frames.regions(request)
        except ServiceError as error:
            raise _about(photo, error) from error

    async def compare(
        self,
        catalog_id: str,
        photo: SentPhoto,
        box: PhotoArea,
        other: bytes,
        *,
        version: str,
        priority: int,
    ) -> DrawnHeatMap:
        first = pb.EmbedItem(
            space_version=version,
            photo_kind=photo_pb2.PHOTO_KIND_SHOPPER,
            box=photo_pb2.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom),
        )
        _add(photo, first)
        request = pb.ComparePhotosRequest(
            catalog_id=catalog_id,
            first=first,
            second=pb.EmbedItem(image=other, photo_kind=photo_pb2.PHOTO_KIND_CATALOGUE),
            priority=cast(vector_pb2.Priority.ValueType, priority),
            first_is_region=True,
        )
        try:
            answer: pb.ComparePhotosResponse = await call(
                self._stub.ComparePhotos, request, EmbedderUnavailable
            )
        except ServiceError as error:
            raise _about(photo, error) from error
        costs.add(COMPARED)
        decoding = answer.decoding_time.ToNanoseconds() / 1e9
        return DrawnHeatMap(answer.png, answer.similarity, answer.first.rest, decoding)


def _add(photo: SentPhoto, message: pb.EmbedRegionsRequest | pb.EmbedItem) -> None:
    """Add a photo, or its address, to a request."""
    if photo.uri:
        message.image_uri = photo.uri
    else:
        message.image = photo.image


def _about(photo: SentPhoto, error: ServiceError) -> ServiceError:
    """Return an error about a photo with the path of its field; others as they are."""
    if isinstance(error, InvalidArgument):
        return ImageRejected(error.reason, error.message, photo.name)
    if isinstance(error, FailedPrecondition) and error.reason == ImageUnreadable.reason:
        return ImageUnreadable(error.message, photo.name)
    return error
