"""The client by which the patches of photos are described."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from servicekit.admission import costs
from servicekit.errors import Internal
from servicekit.telemetry import Stages
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from vision.adapters.embedder import EmbedderFrames
from vision.adapters.peer_calls import GONE_OR_LATE, call
from vision.domain.errors import EmbedderUnavailable
from vision.domain.inspection import GivenPhoto, PatchesSeen, Pixels, PreparedPhoto
from vision.domain.objects import Floats

TOGETHER = 8
"""Photos of a call, at most: see DescribePatchesRequest."""
DESCRIBED = 0.06
"""Processor seconds of the model for the patches of a photo, which no service measures
(`python -m lab inspect`)."""


class EmbedderPatches:
    """See PatchFeatures in ports/inspection.py."""

    def __init__(self, frames: EmbedderFrames) -> None:
        """Use the channel of the client of frames."""
        self._stub = pb_grpc.EmbeddingServiceStub(frames.channel)

    async def prepare(self, catalog_id: str, photo: GivenPhoto, stages: Stages) -> PreparedPhoto:
        request = _request(catalog_id, photo, vector_pb2.PRIORITY_BULK)
        request.pixels_only = True
        return _prepared(await self._answer(request, stages))

    async def describe(
        self, catalog_id: str, photo: GivenPhoto, stages: Stages
    ) -> tuple[PreparedPhoto, PatchesSeen]:
        answer = await self._answer(_request(catalog_id, photo, photo.priority), stages)
        costs.add(DESCRIBED)
        return _prepared(answer), _seen([answer], 1)

    async def compute(
        self, catalog_id: str, photos: Sequence[Pixels], stages: Stages
    ) -> PatchesSeen:
        answers = []
        # One after another: together they would compute on all cores, and shoppers' answers wait.
        for start in range(0, len(photos), TOGETHER):
            request = pb.DescribePatchesRequest(
                catalog_id=catalog_id,
                pixels=b"".join(each.tobytes() for each in photos[start : start + TOGETHER]),
                priority=vector_pb2.PRIORITY_BULK,
            )
            answers.append(await self._answer(request, stages))
        costs.add(len(photos) * DESCRIBED)
        return _seen(answers, len(photos))

    async def _answer(
        self, request: pb.DescribePatchesRequest, stages: Stages
    ) -> pb.DescribePatchesResponse:
        """Call the embedder, and record its stages as those of the call."""
        begun = stages.elapsed
        answer: pb.DescribePatchesResponse = await call(
            self._stub.DescribePatches, request, EmbedderUnavailable, GONE_OR_LATE
        )
        for each in answer.stage_timings:
            start, total = (of.ToNanoseconds() / 1e9 for of in (each.start, each.total))
            stages.note(each.stage, begun + start, total)
        stages.decoding_seconds += answer.decoding_time.ToNanoseconds() / 1e9
        return answer


def _request(catalog_id: str, photo: GivenPhoto, priority: int) -> pb.DescribePatchesRequest:
    kinds = photo_pb2.PHOTO_KIND_CATALOGUE, photo_pb2.PHOTO_KIND_SHOPPER
    request = pb.DescribePatchesRequest(
        catalog_id=catalog_id,
        photo_kind=kinds[photo.of_shopper],
        priority=cast("vector_pb2.Priority.ValueType", priority),
    )
    if photo.uri:
        request.image_uri = photo.uri
    else:
        request.image = photo.image
    return request


def _prepared(answer: pb.DescribePatchesResponse) -> PreparedPhoto:
    pixels = np.frombuffer(answer.pixels, np.uint8)
    side = round((len(pixels) / 3) ** 0.5)
    if not side or len(pixels) != side * side * 3 or answer.aspect_ratio <= 0:
        raise _invalid("photo")
    return PreparedPhoto(pixels.reshape(side, side, 3), answer.aspect_ratio)


def _seen(answers: Sequence[pb.DescribePatchesResponse], count: int) -> PatchesSeen:
    """Return the features of answers. Raises Internal if they are not well-formed."""
    first = answers[0]
    each = first.height * first.width * first.dimension
    patches = _floats([answer.patches for answer in answers])
    heads = _floats([answer.heads for answer in answers])
    if (
        not each
        or len(patches) != count * each
        or not len(heads)
        or len(heads) % count
        or {answer.model for answer in answers} != {first.model}
    ):
        raise _invalid("features")
    grid = first.height, first.width, first.dimension
    return PatchesSeen(patches.reshape(count, *grid), heads.reshape(count, -1), first.model)


def _floats(parts: Sequence[bytes]) -> Floats:
    return np.frombuffer(b"".join(parts), "<f4").astype(np.float32, copy=False)


def _invalid(what: str) -> Internal:
    return Internal(f"the embedder answered another {what}", reason="EMBEDDER_ANSWER_INVALID")
