"""Servers of large requests and answers, for tests of a server's limits."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from servicekit.admission.limits import MIB
from sightline.gateway.v1 import detection_service_pb2_grpc as detection_grpc
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc as pb_grpc
from sightline.vision.v1 import detection_service_pb2 as detection
from tests.fakes.kit_echo import Echo


class Shop(pb_grpc.RecommendationServiceServicer):
    """Servicer that records the requests that reach it."""

    def __init__(self) -> None:
        self.reached: list[int] = []

    async def Recommend(self, request: pb.RecommendRequest, _: Any) -> pb.RecommendResponse:
        self.reached.append(request.ByteSize())
        return pb.RecommendResponse()


class Camera(detection_grpc.DetectionServiceServicer):
    """Servicer that takes a hundredth of a second for a photo of a camera."""

    async def DetectProducts(
        self, request: detection.DetectProductsRequest, _: Any
    ) -> detection.DetectProductsResponse:
        await asyncio.sleep(0.01)
        return detection.DetectProductsResponse()


class Long(Echo):
    """Servicer with long answers."""

    async def unary(self, request: bytes, context: Any) -> bytes:
        return bytes(MIB)


class Endless(Echo):
    """A stream that never ends by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    async def unary_stream(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(64 * 1024)
        finally:
            self.closed.set()
