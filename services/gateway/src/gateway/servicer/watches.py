"""Prices of calls about watches."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from gateway.model.price import FrameWork, RequestPrice, frames_price, watch_price
from gateway.servicer.passthrough import Around, Call, priced
from gateway.state.prices import RequestPrices
from servicekit.admission import quotas
from servicekit.admission.quotas import QuotaKind
from sightline.vision.v1 import watch_service_pb2 as pb

MOST_KNOWN: Final = 10_000
"""Watches whose number of embedded parts is kept."""


def around(prices: RequestPrices) -> Mapping[str, Around]:
    """Return what charges the calls about watches that are priced."""
    watch = partial(priced, prices, _watch_price)
    return {"CreateWatch": watch, "UpdateWatch": watch, "SendFrames": FrameCharges(prices).around}


class FrameCharges:
    """Charges for frames, by the work that those of the same watch took."""

    def __init__(self, prices: RequestPrices) -> None:
        self._prices = prices
        self._work: dict[tuple[str, str], FrameWork] = {}
        """Work on a frame, by catalog and watch, as last answered."""

    def around(self, call: Call) -> Call:
        """Return the call, charged before it runs for the work that the last frames took, and
        after it for what it took."""

        async def charged(request: pb.SendFramesRequest) -> pb.SendFramesResponse:
            work = self._work.get((request.catalog_id, request.watch_id), FrameWork(1.0))
            shown = [frame.image for frame in request.frames]
            price = frames_price(len(shown), work, shown)
            async with self._prices.charged(price, request.catalog_id):
                answer: pb.SendFramesResponse = await call(request)
                did = self._learn(request, answer)
                quotas.spend(QuotaKind.PROCESSOR_SECONDS, did.models - price.models)
            return answer

        return charged

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


def _watch_price(request: Any, _: int) -> RequestPrice:
    return watch_price(sum(map(_has_image, request.watch.rules)))


def _has_image(rule: Any) -> bool:
    kind = rule.WhichOneof("condition")
    return kind in ("presence", "count", "detected") and bool(getattr(rule, kind).target.image)
