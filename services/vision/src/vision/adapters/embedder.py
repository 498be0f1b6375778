"""The client by which frames are embedded, and faces and objects found in them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from servicekit.admission import costs
from servicekit.errors import Internal, InvalidArgument, ServiceError
from servicekit.rpc.channel import connect, idempotent
from servicekit.rpc.peers import NO_CREDENTIALS, PeerCredentials
from servicekit.status import from_status
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_rules.photo_areas import PhotoArea
from vision.adapters.peer_calls import GONE_OR_LATE, call
from vision.domain.errors import EmbedderUnavailable, ImageRejected, VersionMismatch
from vision.domain.objects import Floats, FoundObjects, SeenObject
from vision.domain.watches import MOST_FOUND

SPACE = "visual"
_GONE = GONE_OR_LATE | {
    "EMBEDDER_UNAVAILABLE",
    "EMBED_QUEUE_FULL",
    "MODEL_NOT_READY",
    "SPACE_UNAVAILABLE",
}
"""Error reasons that are not about the frames."""
PART, FINDING, VIEW = 0.015, 0.06, 0.011
"""Processor seconds of models, which no service measures: a part of a frame, the objects of a
photo, and a view of one that is embedded (`python -m lab detect`)."""
_NOT_SERVED, _NOT_READY = "SPACE_VERSION_UNAVAILABLE", "MODEL_NOT_READY"

_ask = partial(call, unavailable=EmbedderUnavailable)


class EmbedderFrames:
    """See FrameEmbedder and FaceFinder in ports/watching.py."""

    def __init__(self, target: str, peers: PeerCredentials = NO_CREDENTIALS) -> None:
        """Prepare a channel that connects on first use."""
        self.channel = connect(target, peers=peers, service_configs=idempotent(pb))
        self._stub = pb_grpc.EmbeddingServiceStub(self.channel)

    async def close(self) -> None:
        """Drop the connection."""
        await self.channel.close(None)

    async def faces(self, catalog_id: str, photo: bytes) -> list[PhotoArea]:
        request = pb.FindFacesRequest(catalog_id=catalog_id, image=photo)
        try:
            answer = await _ask(self._stub.FindFaces, request, gone=_GONE)
        except InvalidArgument as error:
            raise ImageRejected(error.reason, error.message) from error
        boxes = [face.box for face in answer.faces]
        return [PhotoArea(box.left, box.top, box.right, box.bottom) for box in boxes]

    async def embed_parts(
        self, catalog_id: str, parts: Sequence[bytes], version: str
    ) -> tuple[str, list[Floats]]:
        vectors = list[Floats]()
        # One after another: together they would compute on all cores, and shoppers' answers wait.
        for part in parts:
            version, vector = await self._embedded(catalog_id, part, version)
            vectors.append(vector)
        return version, vectors

    async def _embedded(self, catalog_id: str, part: bytes, version: str) -> tuple[str, Floats]:
        """Return the version and the vector of a part. Raises as `embed_parts` does."""
        request = pb.BatchEmbedRequest(
            catalog_id=catalog_id,
            items=[_item(part, version)],
            priority=vector_pb2.PRIORITY_BULK,
        )
        answer = await _ask(self._stub.BatchEmbed, request, gone=_GONE)
        costs.add(PART)
        if len(answer.results) != 1:
            raise Internal("the embedder answered other items", reason="EMBEDDER_ANSWER_INVALID")
        (result,) = answer.results
        return result.vector.space_version, _vector(result, version)

    async def find_objects(
        self, catalog_id: str, frame: bytes, version: str, *, vectors: bool
    ) -> FoundObjects | None:
        request = pb.EmbedRegionsRequest(
            catalog_id=catalog_id,
            image=frame,
            space_version=version,
            max_regions=MOST_FOUND,
            priority=vector_pb2.PRIORITY_BULK,
            boxes_only=not vectors,
        )
        try:
            return await self.regions(request)
        except ServiceError as error:
            if error.reason == _NOT_READY:
                return None
            raise _meaning(error, version) from error

    async def regions(self, request: pb.EmbedRegionsRequest) -> FoundObjects:
        """Return the objects in a photo or a frame. Raises errors as they are reported."""
        request.photo_kind = photo_pb2.PHOTO_KIND_SHOPPER
        answer: pb.EmbedRegionsResponse = await _ask(self._stub.EmbedRegions, request)
        costs.add(FINDING + answer.embedded_views * VIEW)
        return FoundObjects(
            answer.space_version,
            _boxes(answer) if request.boxes_only else _objects(answer),
            answer.embedded_views,
            answer.truncated,
            answer.small_objects,
            answer.decoding_time.ToNanoseconds() / 1e9,
        )


def _objects(answer: pb.EmbedRegionsResponse) -> list[SeenObject]:
    """Return the objects of an answer. Raises Internal if it is not well-formed."""
    vectors = np.frombuffer(answer.vectors, "<f4")
    if len(vectors) != len(answer.regions) * answer.dimension:
        raise Internal("the embedder answered other vectors", reason="EMBEDDER_ANSWER_INVALID")
    rows = vectors.reshape(len(answer.regions), answer.dimension)
    return [replace(each, vector=row) for each, row in zip(_boxes(answer), rows, strict=True)]


def _boxes(answer: pb.EmbedRegionsResponse) -> list[SeenObject]:
    """Return the objects of an answer without their vectors."""
    return [
        SeenObject(
            PhotoArea(each.box.left, each.box.top, each.box.right, each.box.bottom),
            objectness=each.objectness,
        )
        for each in answer.regions
    ]


def _item(part: bytes, version: str) -> pb.EmbedItem:
    return pb.EmbedItem(
        image=part,
        space=SPACE,
        space_version=version,
        photo_kind=photo_pb2.PHOTO_KIND_SHOPPER,
        views=1,
    )


def _vector(result: pb.EmbedResult, version: str) -> Floats:
    if result.status.code:
        raise _meaning(from_status(result.status), version)
    vector = np.frombuffer(result.vector.data, "<f4")
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def _meaning(error: ServiceError, version: str) -> ServiceError:
    """Return the error of a frame that the embedder's error stands for."""
    if isinstance(error, InvalidArgument):
        return ImageRejected(error.reason, error.message)
    return VersionMismatch("", version) if error.reason == _NOT_SERVED else EmbedderUnavailable()
