"""The embedder's client."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import grpc

from gateway.clients import messages
from gateway.clients.peer_calls import PeerCaller
from gateway.model.peers import EmbeddedRegions, HeatMap, ReadLabel
from gateway.model.query import Signal, SignalKind
from gateway.ports import EmbedderPort
from servicekit.admission import quotas
from servicekit.admission.quotas import QuotaKind
from servicekit.errors import DeadlineExceeded, Internal, InvalidArgument, ServiceError
from servicekit.rpc.channel import idempotent
from servicekit.status import from_status
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline_core.embedding import EmbeddedSignals
from sightline_core.opaque_messages import Classification, EmbedderSpace, Vector
from sightline_rules.photo_areas import PhotoArea

A = TypeVar("A")

IDEMPOTENT = idempotent(pb)
VISUAL = "visual"
"""Space of regions."""
MOST_CATEGORIES = 1000
"""Categories of a photo that are asked for beside its vector: normally all that the head knows."""


class EmbedderClient(EmbedderPort):
    """Client that embeds signals and lists spaces."""

    def __init__(self, channel: grpc.aio.Channel, caller: PeerCaller) -> None:
        self._stub = pb_grpc.EmbeddingServiceStub(channel)
        self._admin = AdminServiceStub(channel)
        self._caller = caller

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Signal],
        priority: int,
        space_version: str,
        *,
        space: str,
        views: int = 0,
        classify: bool = False,
        language_code: str = "",
    ) -> EmbeddedSignals:
        request = pb.BatchEmbedRequest(
            catalog_id=catalog_id,
            items=[_item(signal, space, space_version, views, language_code) for signal in signals],
            priority=cast(vector_pb2.Priority.ValueType, priority),
        )
        for item in request.items if classify else ():
            item.classify = item.WhichOneof("content") != "text"
            item.category_count = MOST_CATEGORIES
        if any(signal.is_photo for signal in signals):
            response = await self._decode(self._stub.BatchEmbed, request)
        else:
            response = await self._caller.call(self._stub.BatchEmbed, request)
        if len(response.results) != len(signals):
            raise Internal("the embedder returned a different number of items", reason="INTERNAL")
        return EmbeddedSignals(
            items=tuple(_result(item) for item in response.results),
            work=messages.work(response.stage_timings),
            classifications=tuple(
                item.classification if item.HasField("classification") else None
                for item in response.results
            ),
            match_cosines=tuple(item.match_cosines for item in response.results),
            decoding=reported_decoding(response),
        )

    async def classify(self, catalog_id: str, photo: Signal, top_k: int) -> Classification:
        request = pb.ClassifyRequest(catalog_id=catalog_id, items=[_item(photo)], top_k=top_k)
        response = await self._decode(self._stub.Classify, request)
        if len(response.results) != 1:
            raise Internal("the embedder returned a different number of items", reason="INTERNAL")
        (result,) = response.results
        if result.status.code:
            raise from_status(result.status)
        return cast(Classification, result.classification)

    async def embed_regions(
        self, catalog_id: str, photo: Signal, most: int, priority: int, space_version: str
    ) -> EmbeddedRegions:
        request = pb.EmbedRegionsRequest(
            catalog_id=catalog_id,
            space_version=space_version,
            photo_kind=photo_pb2.PHOTO_KIND_SHOPPER,
            max_regions=most,
            priority=cast(vector_pb2.Priority.ValueType, priority),
        )
        if photo.kind is SignalKind.IMAGE:
            request.image = photo.image
        else:
            request.image_uri = photo.image_uri
        response = await self._decode(self._stub.EmbedRegions, request)
        size = 4 * response.dimension
        if len(response.vectors) != size * len(response.regions):
            raise Internal("the embedder returned vectors of another length", reason="INTERNAL")
        return EmbeddedRegions(
            boxes=[_area(each.box) for each in response.regions],
            objectness=[each.objectness for each in response.regions],
            vectors=[
                vector_pb2.Vector(
                    space=VISUAL,
                    space_version=response.space_version,
                    dimension=response.dimension,
                    data=response.vectors[place * size : (place + 1) * size],
                )
                for place in range(len(response.regions))
            ],
            views=response.embedded_views,
            work=messages.work(response.stage_timings),
        )

    async def read_label(self, catalog_id: str, photo: Signal, priority: int) -> ReadLabel:
        request = pb.ReadLabelsRequest(
            catalog_id=catalog_id,
            image=photo.image,
            image_uri=photo.image_uri,
            photo_kind=photo_pb2.PHOTO_KIND_SHOPPER,
            priority=cast(vector_pb2.Priority.ValueType, priority),
        )
        response = await self._decode(self._stub.ReadLabels, request)
        return ReadLabel(
            response.lines, response.unsure_line_count, messages.work(response.stage_timings)
        )

    async def compare(
        self, catalog_id: str, photo: Signal, other: bytes, space_version: str
    ) -> HeatMap:
        request = pb.ComparePhotosRequest(
            catalog_id=catalog_id,
            first=_item(photo, version=space_version),
            second=pb.EmbedItem(image=other, photo_kind=photo_pb2.PHOTO_KIND_CATALOGUE),
        )
        response = await self._decode(self._stub.ComparePhotos, request)
        return HeatMap(
            response.png, response.similarity, response.first.rest, response.space_version
        )

    async def _decode(self, method: Any, request: Any) -> Any:
        return await charged(lambda: self._caller.call(method, request), reported_decoding)

    async def spaces(self, catalog_id: str) -> Sequence[EmbedderSpace]:
        request = pb.ListSpacesRequest(catalog_id=catalog_id)
        response = await self._caller.call(self._admin.ListSpaces, request, note=True)
        return response.spaces


async def charged(ask: Callable[[], Awaitable[A]], seconds: Callable[[A], float]) -> A:
    """Ask for what decodes photos, within the caller's quota; raises QuotaExhausted. `seconds`
    returns the processor seconds of decoding."""
    quotas.check(QuotaKind.DECODE_SECONDS)
    began = time.perf_counter()
    try:
        answer = await ask()
    except (DeadlineExceeded, InvalidArgument, asyncio.CancelledError):
        # No cost is reported: a caller that leaves early, or whose photo is rejected after it
        # was decoded, is charged the time that it waited.
        quotas.spend(QuotaKind.DECODE_SECONDS, time.perf_counter() - began)
        raise
    quotas.spend(QuotaKind.DECODE_SECONDS, seconds(answer))
    return answer


def reported_decoding(response: Any) -> float:
    """Return the processor seconds of decoding that an answer reports."""
    return float(response.decoding_time.ToNanoseconds() / 1e9)


def _area(box: photo_pb2.Box) -> PhotoArea:
    return PhotoArea(box.left, box.top, box.right, box.bottom)


def _item(
    signal: Signal, space: str = "", version: str = "", views: int = 0, language: str = ""
) -> pb.EmbedItem:
    if not signal.is_photo:
        return pb.EmbedItem(
            text=signal.text, space=space, space_version=version, query_language=language
        )
    item = pb.EmbedItem(
        space=space,
        space_version=version,
        photo_kind=photo_pb2.PHOTO_KIND_SHOPPER,
        views=views,
        box=cast(photo_pb2.Box | None, signal.box),
    )
    if signal.kind is SignalKind.IMAGE:
        item.image = signal.image
    else:
        item.image_uri = signal.image_uri
    return item


def _result(item: pb.EmbedResult) -> Vector | ServiceError:
    if item.status.code:
        return from_status(item.status)
    return item.vector
