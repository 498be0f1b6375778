"""WatchService: the retriever's WatchService under the public contract."""

from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import Any, Final

import grpc

from gateway.clients.peer_calls import PeerCaller
from gateway.model.price import FrameWork, RequestPrice, frames_price, step_price, watch_price
from gateway.servicer.passthrough import Call, Passthrough
from gateway.servicer.requests import admit
from gateway.state.prices import RequestPrices
from servicekit.admission import quotas
from servicekit.admission.quotas import QuotaKind
from servicekit.rpc.server import Context
from sightline.gateway.v1 import watch_service_pb2, watch_service_pb2_grpc
from sightline.retriever.v1 import watch_service_pb2 as pb
from sightline.retriever.v1 import watch_service_pb2_grpc as retriever_grpc

SERVICE = watch_service_pb2.DESCRIPTOR.services_by_name["WatchService"]
MOST_KNOWN: Final = 10_000
"""Watches whose number of embedded parts is kept."""


class WatchProxyServicer(watch_service_pb2_grpc.WatchServiceServicer):
    """Servicer that passes calls about watches to the retriever, each charged to its caller."""

    def __init__(
        self,
        catalogs: Collection[str],
        passthrough: Passthrough,
        channel: grpc.aio.Channel,
        caller: PeerCaller,
        *,
        prices: RequestPrices,
    ) -> None:
        self._catalogs = catalogs
        self._prices = prices
        self._watches = retriever_grpc.WatchServiceStub(channel)
        self._caller = caller
        self._work: dict[tuple[str, str], FrameWork] = {}
        """Work on a frame, by catalog and watch, as last answered."""
        passthrough.serve(self, SERVICE, self._charged)

    async def WatchAlerts(
        self, request: pb.WatchAlertsRequest, context: Context
    ) -> AsyncIterator[pb.WatchAlertsResponse]:
        """Yield alerts as they are stored."""
        request.catalog_id = admit(request, self._catalogs)
        async with self._prices.charged(step_price(), request.catalog_id):
            pass
        async with aclosing(self._caller.stream(self._watches.WatchAlerts, request)) as answers:
            async for answer in answers:
                yield answer

    def _charged(self, name: str, call: Call) -> Call:
        """Return a call that is passed on, with its price charged to its caller."""

        async def charged(request: Any) -> Any:
            request.catalog_id = admit(request, self._catalogs)
            price = self._price(name, request)
            async with self._prices.charged(price, request.catalog_id):
                answer = await call(request)
                if name == "SendFrames":
                    did = self._learn(request, answer)
                    quotas.spend(QuotaKind.PROCESSOR_SECONDS, did.models - price.models)
            return answer

        return charged

    def _price(self, name: str, request: Any) -> RequestPrice:
        match name:
            case "SendFrames":
                work = self._work.get((request.catalog_id, request.watch_id), FrameWork(1.0))
                shown = [frame.image for frame in request.frames]
                return frames_price(len(shown), work, shown)
            case "CreateWatch" | "UpdateWatch":
                return watch_price(sum(map(_has_image, request.watch.rules)))
            case _:
                return step_price()

    def _learn(self, request: pb.SendFramesRequest, answer: pb.SendFramesResponse) -> RequestPrice:
        """Return the price of the work that was done. The next call is charged for as much a frame
        before it runs."""
        processed = sum(bool(result.readings) for result in answer.results)
        if not processed:
            return RequestPrice({})
        if len(self._work) >= MOST_KNOWN:
            self._work.pop(next(iter(self._work)))
        work = FrameWork(
            answer.embedded_count / processed,
            answer.detected_count / processed,
            answer.detected_view_count / processed,
        )
        self._work[request.catalog_id, request.watch_id] = work
        return frames_price(processed, work)


def _has_image(rule: Any) -> bool:
    kind = rule.WhichOneof("condition")
    return kind in ("presence", "count", "detected") and bool(getattr(rule, kind).target.image)
