"""One request by photo is one trace through all services and Triton, without personal data."""

import json
import time

import grpc

from local_suite.suite import Suite
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc as pb_grpc
from tests.collector import Collector, Span
from tests.fakes.photos import photo
from tests.waiting import SECONDS, until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SHOPPER, SESSION, REQUEST = "ann-who-is-traced", "visit-that-is-traced", "r-traced"
TEXT = "a bottle for my secret wedding"
INFER = "inference.GRPCInferenceService/ModelInfer"
TOP = "RecommendationService/Recommend"
METHODS = {
    TOP: "gateway",
    "EmbeddingService/BatchEmbed": "embedder",
    "VectorService/Search": "retriever",
    "RankingService/Rank": "ranker",
}


async def test_a_photo_is_one_trace_from_the_gateway_to_triton(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    answer = await asked(gateway, f"00-{TRACE}-{PARENT}-01")
    await until(lambda: all(served(collector, method) for method in METHODS))
    await until(lambda: "InferRequest" in {span.name for span in spans(collector)})
    # Each process sends its spans on its own: a parent's may arrive after its child's.
    await until(lambda: all(way(collector, span)[-1] == PARENT for span in spans(collector)))

    for method, service in METHODS.items():
        for span in served(collector, method):
            assert (span.service, span.failed) == (service, False)
            assert way(collector, span)[-2:] == [named(TOP, collector), PARENT]
    (top,) = served(collector, TOP)
    assert top.attributes["sightline.catalog"] == "default"
    assert top.attributes["sightline.results"] == len(answer.results) > 0
    assert top.attributes["sightline.scene"] == answer.versions.scene
    assert top.attributes["sightline.degraded"] == []
    inferred = [span for span in spans(collector) if span.name == "InferRequest"]
    assert {span.service for span in inferred} == {"triton"}
    for span in inferred:
        above = way(collector, span)
        assert above[1:3] == [
            "embedder inference.GRPCInferenceService/ModelInfer",
            "embedder infer",
        ]
        assert above[-3:-1] == ["gateway embed", named(TOP, collector)]
    assert {"fuse", "rank", "score", "index"} <= {span.name for span in spans(collector)}
    assert logged(suite, TRACE) == set(METHODS.values())
    check_nothing_personal(collector, answer)


def check_nothing_personal(collector: Collector, answer: pb.RecommendResponse) -> None:
    """Check the spans of every trace, not only of this one."""
    every = list(collector.spans)
    text = "\n".join(span.everything for span in every)
    for secret in (SHOPPER, SESSION, REQUEST, "secret", "wedding", "Bearer"):
        assert secret not in text, secret
    said = {str(value) for span in every for value in span.attributes.values()}
    products = [result.product for result in answer.results]
    assert not said & {word for each in products for word in (each.product_id, each.title)}


def spans(collector: Collector) -> list[Span]:
    return list(collector.of(TRACE).values())


def served(collector: Collector, method: str) -> list[Span]:
    """Return the spans of the calls on the serving side."""
    return [s for s in spans(collector) if s.kind == "SERVER" and s.name.endswith(method)]


def named(method: str, collector: Collector) -> str:
    (span,) = served(collector, method)
    return f"{span.service} {span.name}"


def way(collector: Collector, span: Span) -> list[str]:
    """Return the path from a span up to the first one outside of the suite."""
    there, names = collector.of(TRACE), [f"{span.service} {span.name}"]
    while span.parent_id in there:
        span = there[span.parent_id]
        names.append(f"{span.service} {span.name}")
    return [*names, span.parent_id]


def logged(suite: Suite, trace: str) -> set[str]:
    """Return the services with a log line of a call that belongs to a trace."""
    return {
        service
        for service in METHODS.values()
        for line in suite.log(service).read_text().splitlines()
        if trace in line and json.loads(line)["event"] == "call"
    }


async def asked(gateway: str, traceparent: str) -> pb.RecommendResponse:
    request = pb.RecommendRequest(
        shopper=event_pb2.Shopper(user_id=SHOPPER), session_id=SESSION, request_id=REQUEST
    )
    # No other test asked for it: one that is known is not embedded again.
    request.signals.add(image=photo(211, 157, seed=int(traceparent[3:5], 16)))
    request.signals.add(text=TEXT)
    async with grpc.aio.insecure_channel(gateway) as channel:
        stub = pb_grpc.RecommendationServiceStub(channel)
        metadata = (("traceparent", traceparent), ("authorization", "Bearer a-token"))
        return await stub.Recommend(request, timeout=SECONDS, metadata=metadata)


async def test_each_services_line_has_the_callers_trace_also_where_nobody_records_it(
    suite: Suite, gateway: str, shop_is_open: None, collector: Collector
) -> None:
    unrecorded = f"{time.time_ns():032x}"
    await asked(gateway, f"00-{unrecorded}-{PARENT}-00")
    await until(lambda: logged(suite, unrecorded) == set(METHODS.values()))
    assert collector.of(unrecorded) == {}


async def test_a_training_is_a_trace_of_its_own_through_worker_and_process(
    suite: Suite, shop_is_open: None, collector: Collector
) -> None:
    def trainings() -> list[tuple[Span, Span]]:
        """Return the worker's span and its process's span of each training: others may run
        meanwhile."""
        jobs = [span for span in list(collector.spans) if span.name == "job train"]
        by_id = {span.span_id: span for span in jobs if span.service == "ranker-worker"}
        processes = [span for span in jobs if span.service == "ranker-train"]
        return [(by_id[it.parent_id], it) for it in processes if it.parent_id in by_id]

    await until(lambda: trainings() != [])
    worker, process = trainings()[0]
    assert (worker.parent_id, process.trace_id) == ("", worker.trace_id)
    asked = [span for span in collector.of(worker.trace_id).values() if span.service == "retriever"]
    assert asked  # for the products
    assert collector.of(worker.trace_id).keys() >= {span.parent_id for span in asked}
