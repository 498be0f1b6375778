"""The client by which the server has the embedder find faces. The worker's is embedder.py."""

from retriever.adapters.embedder import translated
from retriever.domain.errors import ImageRejected
from servicekit import deadlines
from servicekit.errors import InvalidArgument
from servicekit.rpc.channel import connect, idempotent
from servicekit.rpc.peers import NO_CREDENTIALS, PeerCredentials
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_rules.photo_areas import PhotoArea

SECONDS = 60.0
"""Timeout of a call without a deadline."""


class EmbedderFaces:
    """See FaceFinder in ports/embedder.py."""

    def __init__(self, target: str, peers: PeerCredentials = NO_CREDENTIALS) -> None:
        """Prepare a channel that connects on first use."""
        self._channel = connect(target, peers=peers, service_configs=idempotent(pb))
        self._stub = pb_grpc.EmbeddingServiceStub(self._channel)

    async def close(self) -> None:
        """Drop the connection."""
        await self._channel.close(None)

    async def faces(self, catalog_id: str, photo: bytes) -> list[PhotoArea]:
        request = pb.FindFacesRequest(catalog_id=catalog_id, image=photo)
        left = deadlines.remaining()
        seconds = SECONDS if left is None else min(left, SECONDS)
        try:
            with translated():
                answer = await self._stub.FindFaces(request, timeout=seconds)
        except InvalidArgument as error:
            raise ImageRejected(error.reason, error.message) from error
        boxes = [face.box for face in answer.faces]
        return [PhotoArea(box.left, box.top, box.right, box.bottom) for box in boxes]
