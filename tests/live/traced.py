"""One request by photo whose trace is recorded, and the checks of its spans."""

import json
from dataclasses import dataclass

import grpc

from local_suite.suite import Suite
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc as pb_grpc
from tests.collector import Collector, Span
from tests.fakes.photos import photo
from tests.waiting import SECONDS, until

PARENT = "00f067aa0ba902b7"
SHOPPER, SESSION, REQUEST = "ann-who-is-traced", "visit-that-is-traced", "r-traced"
TEXT = "a bottle for my secret wedding"
TOP = "RecommendationService/Recommend"
METHODS = {
    TOP: "gateway",
    "EmbeddingService/BatchEmbed": "embedder",
    "VectorService/Search": "retriever",
    "RankingService/Rank": "ranker",
}
LENT = {
    "EmbeddingService/BatchEmbed": "embedder embed",
    "VectorService/Search": "retriever search",
    "RankingService/Rank": "ranker rank",
}
"""Spans of calls that services of one process do without."""


@dataclass(frozen=True)
class Traced:
    """A trace of a suite."""

    suite: Suite
    collector: Collector
    id: str
    process: str = ""
    """Name of the process of all services; empty: each has its own."""

    @property
    def methods(self) -> dict[str, str]:
        """The methods that are called, with their services."""
        lent = LENT if self.process else {}
        return {method: name for method, name in METHODS.items() if method not in lent}

    def name(self, service: str) -> str:
        """Return the name of the process that runs a service."""
        return self.process or service

    @property
    def inference(self) -> tuple[str, str]:
        """The process that runs the models, and the name of its spans."""
        if "triton" in self.suite.programs:
            return "triton", "InferRequest"
        return self.name("embedder"), "onnxruntime"

    def inferred(self) -> list[Span]:
        """Return the spans of inferences."""
        return [span for span in self.spans() if span.name == self.inference[1]]

    def spans(self) -> list[Span]:
        return list(self.collector.of(self.id).values())

    def served(self, method: str) -> list[Span]:
        """Return the spans of the calls on the serving side."""
        return [s for s in self.spans() if s.kind == "SERVER" and s.name.endswith(method)]

    def top(self) -> str:
        """Return the name of the request's own span."""
        (span,) = self.served(TOP)
        return f"{span.service} {span.name}"

    def way(self, span: Span) -> list[str]:
        """Return the path from a span up to the first one outside of the suite."""
        there, names = self.collector.of(self.id), [f"{span.service} {span.name}"]
        while span.parent_id in there:
            span = there[span.parent_id]
            names.append(f"{span.service} {span.name}")
        return [*names, span.parent_id]

    def logged(self) -> set[str]:
        """Return the services with a log line of a call that belongs to the trace."""
        programs = {self.name(service) for service in self.methods.values()}
        lines = [
            json.loads(line)
            for program in programs
            for line in self.suite.log(program).read_text().splitlines()
            if self.id in line
        ]
        return {line["service"] for line in lines if line["event"] == "call"}


async def check_whole(traced: Traced, gateway: str) -> None:
    """Ask for products by a photo, and check its one trace from the gateway to the model."""
    answer = await asked(gateway, f"00-{traced.id}-{PARENT}-01")
    await until(lambda: all(traced.served(method) for method in traced.methods))
    await until(traced.inferred)
    # Each process sends its spans on its own: a parent's may arrive after its child's.
    await until(lambda: all(traced.way(span)[-1] == PARENT for span in traced.spans()))

    for method, service in traced.methods.items():
        for span in traced.served(method):
            assert (span.service, span.failed) == (traced.name(service), False)
            assert traced.way(span)[-2:] == [traced.top(), PARENT]
    (top,) = traced.served(TOP)
    assert top.attributes["sightline.catalog"] == "default"
    assert top.attributes["sightline.results"] == len(answer.results) > 0
    assert top.attributes["sightline.scene"] == answer.versions.scene
    assert top.attributes["sightline.degraded"] == []
    check_inference(traced)
    lent = LENT.values() if traced.process else ()
    assert {"fuse", "rank", "score", "index", *lent} <= {span.name for span in traced.spans()}
    assert traced.logged() == set(traced.methods.values())
    check_nothing_personal(traced.collector, answer)


def check_inference(traced: Traced) -> None:
    """Check that the spans of inferences are below the embedder's, and those below the
    gateway's."""
    process, _ = traced.inference
    embedder, gateway = traced.name("embedder"), traced.name("gateway")
    call = [f"{embedder} inference.GRPCInferenceService/ModelInfer"] * (process == "triton")
    for span in traced.inferred():
        assert span.service == process
        above = traced.way(span)
        assert above[1:][: len(call) + 1] == [*call, f"{embedder} infer"]
        assert above[-3:-1] == [f"{gateway} embed", traced.top()]


def check_nothing_personal(collector: Collector, answer: pb.RecommendResponse) -> None:
    """Check the spans of every trace, not only of this one."""
    every = list(collector.spans)
    text = "\n".join(span.everything for span in every)
    for secret in (SHOPPER, SESSION, REQUEST, "secret", "wedding", "Bearer"):
        assert secret not in text, secret
    said = {str(value) for span in every for value in span.attributes.values()}
    products = [result.product for result in answer.results]
    assert not said & {word for each in products for word in (each.product_id, each.title)}


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
