"""sightline.embedder.v1.EmbeddingService: messages to values and back. Decides nothing."""

from collections.abc import Collection, Sequence
from typing import Any

from embedder.embed import Embedder
from embedder.model import Item, Outcome, Priority, SpaceState
from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.requests import enter
from servicekit.status import to_status
from servicekit.telemetry import Stage, Stages
from sightline.common.v1 import answer_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc

RESERVE = 0.02
"""Seconds of the caller's deadline that are kept back to answer with what is done."""


class EmbeddingServicer(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """Serves the embedder's calls."""

    def __init__(self, embedder: Embedder, catalogs: Collection[str]) -> None:
        self._embedder = embedder
        self._catalogs = frozenset(catalogs)

    async def BatchEmbed(
        self, request: pb.BatchEmbedRequest, _context: Any
    ) -> pb.BatchEmbedResponse:
        """Embed a batch; each item has a status of its own."""
        stages = Stages()
        enter(request.catalog_id, request.request_id, self._catalogs)
        outcomes = await self._embedder.embed(
            [_item(item) for item in request.items],
            _priority(request.priority),
            stages,
            deadlines.budget(RESERVE),
        )
        return pb.BatchEmbedResponse(
            results=map(_result, outcomes), stage_timings=_timings(stages.finished)
        )

    async def ListSpaces(
        self, request: pb.ListSpacesRequest, _context: Any
    ) -> pb.ListSpacesResponse:
        """List the spaces as they are now."""
        enter(request.catalog_id, request.request_id, self._catalogs)
        states = await self._embedder.visual.states(deadlines.budget(RESERVE))
        return pb.ListSpacesResponse(spaces=map(_space, states))


def _item(item: pb.EmbedItem) -> Item:
    kind = item.WhichOneof("content")
    return Item(
        photo=item.image if kind == "image" else None,
        uri=item.image_uri if kind == "image_uri" else None,
        text=item.text if kind == "text" else None,
        space=item.space,
        version=item.space_version,
    )


def _priority(priority: int) -> Priority:
    return Priority.BULK if priority == vector_pb2.PRIORITY_BULK else Priority.INTERACTIVE


def _result(outcome: Outcome) -> pb.EmbedResult:
    if isinstance(outcome, ServiceError):
        return pb.EmbedResult(status=to_status(outcome))
    result = pb.EmbedResult()
    result.status.SetInParent()
    result.vector.space = outcome.space
    result.vector.space_version = outcome.version
    result.vector.dimension = len(outcome.values)
    result.vector.data = outcome.values.astype("<f4").tobytes()
    return result


def _timings(stages: Sequence[Stage]) -> list[answer_pb2.StageTiming]:
    """Return one timing for each stage's name: from its first start to its last end."""
    timings = []
    for name in dict.fromkeys(stage.name for stage in stages):
        same = [stage for stage in stages if stage.name == name]
        start = min(stage.start for stage in same)
        end = max(stage.start + stage.duration for stage in same)
        timing = answer_pb2.StageTiming(stage=name)
        timing.start.FromNanoseconds(int(start * 1e9))
        timing.total.FromNanoseconds(int((end - start) * 1e9))
        timings.append(timing)
    return timings


def _space(state: SpaceState) -> pb.Space:
    return pb.Space(
        space=state.space,
        version=state.version,
        dimension=state.dimension,
        model=state.model,
        ready=state.ready,
        preprocessing=state.preprocessing,
        licence=state.licence,
        default_version=state.default,
    )
