"""One request by photo is one trace through all services and Triton, and says nothing personal."""

import json
import time

import grpc

from local_suite.suite import Suite
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc as pb_grpc
from tests.collector import Collector, Span
from tests.engines import ROOT
from tests.waiting import SECONDS, until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SHOPPER, SESSION, REQUEST = "ann-who-is-traced", "visit-that-is-traced", "r-traced"
TEXT = "a bottle for my secret wedding"
PHOTO = ROOT / "examples/wines/images/100062.jpg"
SERVICES = {"gateway", "embedder", "retriever", "ranker"}


async def test_a_photo_is_one_trace_from_the_gateway_to_triton(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    answer = await asked(gateway, f"00-{TRACE}-{PARENT}-01")
    await until(lambda: {span.service for span in spans(collector)} == {*SERVICES, "triton"})
    await until(lambda: all(one(collector, name) for name in METHODS))

    top = one(collector, "RecommendationService/Recommend")
    assert (top.service, top.parent_id, top.failed) == ("gateway", PARENT, False)
    assert top.attributes["sightline.catalog"] == "default"
    assert top.attributes["sightline.results"] == len(answer.results)
    assert top.attributes["sightline.scene"] == answer.versions.scene
    assert top.attributes["sightline.degraded"] == []
    for method, service in METHODS.items():
        served = one(collector, method)
        assert (served.service, served.failed) == (service, False)
        assert way(collector, served)[-2:] == [f"{top.service} {top.name}", "the caller"]
    inferred = next(span for span in spans(collector) if span.name == "InferRequest")
    assert inferred.service == "triton"
    assert way(collector, inferred)[1:3] == [
        "embedder inference.GRPCInferenceService/ModelInfer",
        "embedder infer",
    ]
    assert way(collector, one(collector, "EmbeddingService/BatchEmbed"))[2] == "gateway embed"
    assert {"fuse", "rank", "score", "index"} <= {span.name for span in spans(collector)}


METHODS = {
    "EmbeddingService/BatchEmbed": "embedder",
    "VectorService/Search": "retriever",
    "RankingService/Rank": "ranker",
}


def spans(collector: Collector) -> list[Span]:
    return list(collector.of(TRACE).values())


def one(collector: Collector, method: str) -> Span:
    """The call as the service that answers it sees it."""
    found = (s for s in spans(collector) if s.kind == "SERVER" and s.name.endswith(method))
    return next(found)


def way(collector: Collector, span: Span) -> list[str]:
    """From a span up to the caller."""
    there, names = collector.of(TRACE), [f"{span.service} {span.name}"]
    while span.parent_id in there:
        span = there[span.parent_id]
        names.append(f"{span.service} {span.name}")
    return [*names, "the caller" if span.parent_id == PARENT else span.parent_id]


async def asked(gateway: str, traceparent: str) -> pb.RecommendResponse:
    request = pb.RecommendRequest(
        shopper=event_pb2.Shopper(user_id=SHOPPER), session_id=SESSION, request_id=REQUEST
    )
    request.signals.add(image=PHOTO.read_bytes())
    request.signals.add(text=TEXT)
    async with grpc.aio.insecure_channel(gateway) as channel:
        stub = pb_grpc.RecommendationServiceStub(channel)
        metadata = (("traceparent", traceparent), ("authorization", "Bearer a-secret-token"))
        return await stub.Recommend(request, timeout=SECONDS, metadata=metadata)


async def test_nothing_personal_is_in_any_span(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    answer = await asked(gateway, f"00-{TRACE}-{PARENT}-01")
    await until(lambda: any(span.service == "triton" for span in spans(collector)))
    products = [result.product.product_id for result in answer.results]
    text = "\n".join(span.everything for span in list(collector.spans))
    words = {word for span in list(collector.spans) for word in span.attributes.values()}
    for secret in (SHOPPER, SESSION, REQUEST, "secret", "wedding", "Bearer"):
        assert secret not in text, secret
    assert products
    assert not words_of(words) & {*products, *(r.product.title for r in answer.results)}


def words_of(values: set[object]) -> set[str]:
    return {str(value) for value in values}


async def test_the_trace_is_in_each_services_line_also_where_nobody_records_it(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    unrecorded = f"{time.time_ns():032x}"
    await asked(gateway, f"00-{unrecorded}-{PARENT}-00")

    def lines() -> set[str]:
        found = set()
        for service in SERVICES:
            for line in suite.log(service).read_text().splitlines():
                if unrecorded in line and json.loads(line)["event"] == "call":
                    found.add(service)
        return found

    await until(lambda: lines() == SERVICES)
    assert collector.of(unrecorded) == {}
