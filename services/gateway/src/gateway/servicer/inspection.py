"""Prices of calls about references, and what the gateway counts of their answers."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from prometheus_client import Counter

from gateway.model.price import RequestPrice, inspection_price, photos_price, reference_price
from gateway.servicer.passthrough import Around, Call
from gateway.state.prices import RequestPrices
from servicekit.admission import quotas
from servicekit.admission.quotas import QuotaKind
from sightline.vision.v1 import inspection_service_pb2 as pb

INSPECTIONS = Counter(
    "sightline_gateway_inspections_total",
    "Photos that Inspect compared with a reference, by verdict: like, unlike, cannot_say.",
    ("verdict",),
)
_VERDICTS: Mapping[int, Counter] = {
    number: INSPECTIONS.labels(name.removeprefix("VERDICT_").lower())
    for name, number in pb.InspectResponse.Verdict.items()
    if number
}

PRICES: Mapping[str, Callable[[Any], RequestPrice]] = MappingProxyType(
    {
        "Inspect": lambda request: inspection_price(request.image),
        "AddReferencePhotos": lambda request: photos_price(request.images),
        "FitReference": lambda _: reference_price(),
        "StartReferenceFit": lambda _: reference_price(),
    }
)
"""By call: the price of a request."""


def around(prices: RequestPrices) -> Mapping[str, Around]:
    """Return what charges the calls about references that are priced, and notes their answers."""
    return {name: partial(_charged, prices, name) for name in PRICES}


def _charged(prices: RequestPrices, name: str, call: Call) -> Call:
    """Return a call that is charged to its caller, with the time of decoding its photos."""
    price_of = PRICES[name]

    async def charged(request: Any) -> Any:
        quotas.check(QuotaKind.DECODE_SECONDS)
        price = price_of(request)
        async with prices.charged(price, request.catalog_id):
            began = time.perf_counter()
            answer = await call(request)
            seconds = time.perf_counter() - began
            if name == "FitReference":
                took = min(reference_price(answer.photo_count).models, seconds)
                quotas.spend(QuotaKind.PROCESSOR_SECONDS, took - price.models)
            _note(answer, seconds)
            return answer

    return charged


def _note(answer: Any, seconds: float) -> None:
    """Spend the caller's time of decoding, at most that of the call, and count a verdict."""
    if "decoding_time" in answer.DESCRIPTOR.fields_by_name:
        decoding = answer.decoding_time.ToNanoseconds() / 1e9
        quotas.spend(QuotaKind.DECODE_SECONDS, min(decoding, seconds))
    verdict = getattr(answer, "verdict", 0)
    if verdict in _VERDICTS:
        _VERDICTS[verdict].inc()
