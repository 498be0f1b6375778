"""The embedder's client: translates, decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.rpc import status_pb2

from retriever.model import EmbedderUnavailable, EmbeddingSpace, GivenVector, VersionMismatch
from servicekit.channel import connect
from servicekit.errors import Internal, ServiceError
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc

SERVICE = "sightline.embedder.v1.EmbeddingService"

_GONE = frozenset(
    {
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "EMBEDDER_UNAVAILABLE",
        "EMBED_QUEUE_FULL",
        "SPACE_UNAVAILABLE",
    }
)
"""Reasons that say nothing about the photos."""
_NOT_SERVED = "SPACE_VERSION_UNAVAILABLE"


class EmbedderClient:
    """See Embedder in ports.py."""

    def __init__(self, target: str, *, seconds: float = 60.0) -> None:
        """Connects on first use. `seconds`: the longest that one call may take."""
        self._channel = connect(
            target, service_configs=[(SERVICE, "BatchEmbed"), (SERVICE, "ListSpaces")]
        )
        self._stub = pb_grpc.EmbeddingServiceStub(self._channel)
        self._seconds = seconds

    async def close(self) -> None:
        """Drop the connection."""
        await self._channel.close(None)

    async def spaces(self, catalog_id: str) -> list[EmbeddingSpace]:
        """See Embedder. A version whose model has not answered yet is not offered."""
        request = pb.ListSpacesRequest(catalog_id=catalog_id)
        try:
            answer = await self._stub.ListSpaces(request, timeout=self._seconds)
        except grpc.aio.AioRpcError as error:
            raise _meaning(error) from error
        first = {found.space: found for found in reversed(answer.spaces)}
        # An embedder of one version a space says of none that it is the default one.
        by_default = first | {
            found.space: found for found in answer.spaces if found.default_version
        }
        return [
            EmbeddingSpace(
                found.space,
                found.version,
                found.dimension,
                found.ready,
                default=found is by_default[found.space],
            )
            for found in answer.spaces
            if found.version
        ]

    async def embed(
        self, catalog_id: str, space: str, version: str, items: Sequence[bytes | str]
    ) -> list[GivenVector | ServiceError]:
        """See Embedder."""
        request = pb.BatchEmbedRequest(
            catalog_id=catalog_id,
            items=[_item(item, space, version) for item in items],
            priority=vector_pb2.PRIORITY_BULK,
        )
        try:
            answer = await self._stub.BatchEmbed(request, timeout=self._seconds)
        except grpc.aio.AioRpcError as error:
            raise _meaning(error) from error
        if len(answer.results) != len(items):
            raise Internal("the embedder answered other items", reason="EMBEDDER_ANSWER_INVALID")
        return [_result(result, version) for result in answer.results]


def _item(item: bytes | str, space: str, version: str) -> pb.EmbedItem:
    if isinstance(item, str):
        return pb.EmbedItem(text=item, space=space, space_version=version)
    return pb.EmbedItem(image=item, space=space, space_version=version)


def _meaning(error: grpc.aio.AioRpcError) -> ServiceError:
    told = from_rpc_error(error)
    return EmbedderUnavailable() if told.reason in _GONE else told


def _result(result: pb.EmbedResult, version: str) -> GivenVector | ServiceError:
    status: status_pb2.Status = result.status
    if status.code:
        error = from_status(status)
        if error.reason == _NOT_SERVED:
            return VersionMismatch("", version)
        return EmbedderUnavailable() if error.reason in _GONE else error
    vector = result.vector
    return GivenVector(vector.space, vector.space_version, vector.dimension, vector.data)
