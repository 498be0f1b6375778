"""A scripted embedder on the wire."""

from datetime import timedelta

from servicekit.errors import FailedPrecondition, InvalidArgument
from servicekit.status import to_status
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import (
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    space_pb2,
    space_service_pb2_grpc,
)
from tests.fakes.gateway_script import ALLOWED_URI, Script, stage_timing


class Embedding(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """Fake embedding service for every photo except the bytes b"text" and b"many pixels"; without a
    text space."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def BatchEmbed(self, request, context):
        await self.script.take("BatchEmbed", request, context)
        return embedding_service_pb2.BatchEmbedResponse(
            results=[self._result(item) for item in request.items],
            stage_timings=[
                stage_timing("intake", 0, 10_000),
                stage_timing("infer", 10_000, 20_000),
            ],
        )

    def _result(self, item):
        if item.WhichOneof("content") == "text":
            error = FailedPrecondition("no text space", reason="SPACE_UNAVAILABLE")
            return embedding_service_pb2.EmbedResult(status=to_status(error))
        if item.image == b"text":
            refused = InvalidArgument("not a photo", reason="IMAGE_UNDECODABLE")
            return embedding_service_pb2.EmbedResult(status=to_status(refused))
        if item.image == b"many pixels":
            refused = InvalidArgument("41,000,000 pixels together", reason="IMAGES_TOO_LARGE")
            return embedding_service_pb2.EmbedResult(status=to_status(refused))
        if item.image_uri and item.image_uri != ALLOWED_URI:
            lost = (
                FailedPrecondition("the host answered 404", reason="URI_UNREADABLE")
                if item.image_uri.endswith("/gone.jpg")
                else InvalidArgument("its host is not allowed", reason="URI_FORBIDDEN")
            )
            return embedding_service_pb2.EmbedResult(status=to_status(lost))
        vector = vector_pb2.Vector(
            space="visual", space_version="v1", dimension=1, data=b"\x00\x00\x80\x3f"
        )
        return embedding_service_pb2.EmbedResult(vector=vector)

    async def Classify(self, request, context):
        await self.script.take("Classify", request, context)
        (item,) = request.items
        if (failed := self._result(item).status).code:
            result = embedding_service_pb2.ClassifyResult(status=failed)
        else:
            red = photo_pb2.CategoryGuess(category_path=["Wine", "Red"], probability=0.75)
            classified = photo_pb2.Classification(guesses=[red], sure=red, space_version="v1")
            result = embedding_service_pb2.ClassifyResult(classification=classified)
        return embedding_service_pb2.ClassifyResponse(results=[result])

    async def EmbedRegions(self, request, context):
        await self.script.take("EmbedRegions", request, context)
        if request.image == b"text":
            raise InvalidArgument("not a photo", reason="IMAGE_UNDECODABLE")
        count = 0 if request.image == b"empty" else 3
        regions = [
            embedding_service_pb2.PhotoRegion(
                box=photo_pb2.Box(left=place / 4, right=place / 4 + 0.125, bottom=0.5),
                objectness=0.9,
            )
            for place in range(count)
        ][: request.max_regions]
        return embedding_service_pb2.EmbedRegionsResponse(
            regions=regions,
            space_version="v1",
            dimension=1,
            vectors=b"\x00\x00\x80\x3f" * len(regions),
            truncated=len(regions) < count,
            small_objects=True,
            embedded_views=2 * len(regions),
            decoding_time=timedelta(milliseconds=10),
            stage_timings=[stage_timing("infer", 0, 20_000)],
        )

    async def ReadLabels(self, request, context):
        await self.script.take("ReadLabels", request, context)
        if request.image == b"cyrillic":
            return embedding_service_pb2.ReadLabelsResponse(unsure_line_count=2)
        corners = [photo_pb2.PhotoPoint(x=x, y=y) for x, y in ((0, 0), (1, 0), (1, 0.5), (0, 0.5))]
        line = photo_pb2.LabelLine(text="Origem Merlot", confidence=0.75, corners=corners)
        return embedding_service_pb2.ReadLabelsResponse(
            lines=[line], stage_timings=[stage_timing("infer", 0, 20_000)]
        )

    async def ComparePhotos(self, request, context):
        await self.script.take("ComparePhotos", request, context)
        return embedding_service_pb2.ComparePhotosResponse(
            similarity=0.5,
            space_version=request.first.space_version,
            first=embedding_service_pb2.SimilarityGrid(rest=0.125),
            png=b"png",
            decoding_time=timedelta(milliseconds=20),
        )

    async def ListSpaces(self, request, context):
        await self.script.take("ListSpaces", request, context)
        space = embedding_service_pb2.Space(space="visual", version="v1", model="m1", ready=True)
        return embedding_service_pb2.ListSpacesResponse(spaces=[space])


class FittedSpaces(space_service_pb2_grpc.SpaceServiceServicer):
    """Fake space service that has every requested space."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def PromoteSpace(self, request, context):
        await self.script.take("PromoteSpace", request, context)
        return embedding_service_pb2.Space(version=request.version, forced=request.force)

    async def RetireSpace(self, request, context):
        await self.script.take("RetireSpace", request, context)
        return embedding_service_pb2.Space(
            version=request.version, state=space_pb2.SPACE_STATE_RETIRED
        )
