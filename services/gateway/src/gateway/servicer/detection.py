"""Price of finding the products in a photo, and the roles that parts of its answer need."""

from collections.abc import Mapping
from functools import partial

from gateway.clients.embedder import charged
from gateway.model.price import RequestPrice, detection_price, unused_detection_seconds
from gateway.servicer.passthrough import Around, Call
from gateway.state.prices import RequestPrices
from servicekit.admission import quotas
from servicekit.admission.access import Role, caller
from servicekit.admission.quotas import QuotaKind
from sightline.vision.v1 import detection_service_pb2 as pb
from sightline_rules.photo_products import DEFAULT_DETECTIONS, MOST_DETECTIONS, MOST_HEAT_MAPS

_READERS = frozenset({Role.READ})
"""Roles that may see photos of products and units sold, which no camera may."""


def around(prices: RequestPrices) -> Mapping[str, Around]:
    """Return what charges the call."""
    return {"DetectProducts": partial(_charged, prices)}


def _charged(prices: RequestPrices, call: Call) -> Call:
    """Return the call, charged with the time of decoding, and for the views that were embedded."""

    async def detected(request: pb.DetectProductsRequest) -> pb.DetectProductsResponse:
        if request.HasField("heat_maps") or request.HasField("stock"):
            caller.get().check(_READERS)
        async with prices.charged(_price(request), request.catalog_id):
            answer: pb.DetectProductsResponse = await charged(lambda: call(request), _decoding)
            unused = unused_detection_seconds(_most(request), answer.embedded_view_count)
            quotas.spend(QuotaKind.PROCESSOR_SECONDS, -unused)
        return answer

    return detected


def _price(request: pb.DetectProductsRequest) -> RequestPrice:
    most, heat_maps = _most(request), 0
    if request.HasField("heat_maps"):
        asked = request.heat_maps.max_heat_maps or MOST_HEAT_MAPS
        heat_maps = max(0, min(asked, most, MOST_HEAT_MAPS))
    return detection_price(most, heat_maps, request.image)


def _most(request: pb.DetectProductsRequest) -> int:
    """Return the number of detections that are paid: a number out of range is rejected later."""
    return max(0, min(request.max_detections or DEFAULT_DETECTIONS, MOST_DETECTIONS))


def _decoding(answer: pb.DetectProductsResponse) -> float:
    """Return the processor seconds of decoding."""
    return float(answer.decoding_time.ToNanoseconds() / 1e9)
