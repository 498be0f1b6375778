"""The embedder as the use cases see it."""

from collections.abc import Sequence
from typing import cast

import grpc

from gateway import messages
from gateway.clients.calls import Caller
from gateway.model import Embedded, Signal, SignalKind, SpaceState, Vector
from servicekit.errors import Internal, ServiceError
from servicekit.status import from_status
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc

SERVICE = "sightline.embedder.v1.EmbeddingService"
IDEMPOTENT = ((SERVICE, "BatchEmbed"), (SERVICE, "ListSpaces"))


class EmbedderClient:
    """Embeds signals and tells of the spaces."""

    def __init__(self, channel: grpc.aio.Channel, caller: Caller) -> None:
        self._stub = pb_grpc.EmbeddingServiceStub(channel)
        self._caller = caller

    async def embed(
        self, catalog_id: str, signals: Sequence[Signal], priority: int, space_version: str
    ) -> Embedded:
        """A vector or an error for each signal; raises ServiceError when the whole call fails."""
        request = pb.BatchEmbedRequest(
            catalog_id=catalog_id,
            items=[_item(signal, space_version) for signal in signals],
            priority=cast(vector_pb2.Priority.ValueType, priority),
        )
        response: pb.BatchEmbedResponse = await self._caller.call(self._stub.BatchEmbed, request)
        if len(response.results) != len(signals):
            raise Internal("the embedder answered another number of items", reason="INTERNAL")
        return Embedded(
            items=tuple(_result(item) for item in response.results),
            work=messages.work(response.stage_timings),
        )

    async def spaces(self, catalog_id: str) -> tuple[SpaceState, ...]:
        """The spaces as they are now."""
        request = pb.ListSpacesRequest(catalog_id=catalog_id)
        response: pb.ListSpacesResponse = await self._caller.call(self._stub.ListSpaces, request)
        return tuple(
            SpaceState(
                item.space,
                item.version,
                item.ready,
                item.default_version,
                item.model,
                item.dimension,
            )
            for item in response.spaces
        )


def _item(signal: Signal, version: str) -> pb.EmbedItem:
    if signal.kind is SignalKind.IMAGE:
        return pb.EmbedItem(image=signal.image, space_version=version)
    if signal.kind is SignalKind.IMAGE_URI:
        return pb.EmbedItem(image_uri=signal.image_uri, space_version=version)
    return pb.EmbedItem(text=signal.text, space_version=version)


def _result(item: pb.EmbedResult) -> Vector | ServiceError:
    if item.status.code:
        return from_status(item.status)
    vector = item.vector
    return Vector(vector.space, vector.space_version, vector.dimension, vector.data)
