"""Deadlines, cancellation, ids and logs of a call that goes through the gateway, over real gRPC."""

import asyncio

import grpc

from servicekit import trace_export
from servicekit.config import TraceSettings
from servicekit.errors import Internal
from tests.collector import collecting
from tests.fakes.gateway_wire import running
from tests.fakes.kit_logs import json_logs
from tests.waiting import SECONDS
from tests.wire.gateway_calls import ANN, photo, refused, suite

__all__ = ["suite"]  # fixtures


async def test_each_peer_gets_less_than_what_the_caller_has_left(suite):
    await suite.recommendation.Recommend(photo(shopper=ANN), timeout=9)

    peers = (suite.embedder, suite.retriever, suite.ranker)
    seen = [item for peer in peers for item in peer.script.seen if item.method != "RecordAnswers"]
    assert len(seen) == 6
    for item in seen:
        assert item.seconds_left is not None
        assert 0 < item.seconds_left < 9


async def test_without_a_deadline_there_is_one_of_our_own(suite):
    await suite.recommendation.Recommend(photo())

    (seen,) = suite.embedder.script.seen
    assert 0 < seen.seconds_left <= 5.0  # half of this gateway's limit


async def test_a_cancelled_call_stops_its_work_at_the_peer(suite):
    suite.retriever.script.hang = {"Search"}
    call = suite.recommendation.Recommend(photo(), timeout=60)
    waiting = asyncio.ensure_future(call.code())
    await asyncio.wait_for(suite.retriever.script.arrived.wait(), SECONDS)
    call.cancel()

    await asyncio.wait_for(suite.retriever.script.cancelled.wait(), SECONDS)
    assert await waiting == grpc.StatusCode.CANCELLED
    assert not suite.ranker.script.requests("Rank")


async def test_request_id_and_trace_go_on_to_every_peer(suite):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await suite.recommendation.Recommend(
        photo(request_id="req-7"), metadata=(("traceparent", trace),)
    )

    for peer in (suite.embedder, suite.retriever, suite.ranker):
        metadata = peer.script.seen[0].metadata
        assert metadata["x-request-id"] == "req-7"
        assert metadata["traceparent"].split("-")[1] == trace.split("-")[1]


async def test_nothing_of_photos_shoppers_or_texts_is_logged(capfd):
    with json_logs():
        async with running() as suite:
            request = photo(shopper=ANN, session_id="my-secret-visit")
            request.signals.add(text="my secret wish")
            await suite.recommendation.Recommend(request)
            request.signals.add(image=b"text")
            await refused(suite.recommendation.Recommend(request))
            suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
            await suite.recommendation.Recommend(photo(shopper=ANN))

    logged = "".join(capfd.readouterr())
    assert '"method": "sightline.gateway.v1.RecommendationService/Recommend"' in logged
    assert "secret" not in logged
    assert "ann-the-customer" not in logged


async def test_a_trace_shows_what_an_answer_lost_and_how_much_it_holds():
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with collecting() as collector:
        given = TraceSettings(traces_endpoint=collector.endpoint, traces_share=0.0)
        trace_export.start("suite", given)
        async with running() as suite:
            suite.ranker.script.errors["Rank"] = Internal("a bug", reason="A_BUG")
            metadata = (("traceparent", f"00-{trace}-00f067aa0ba902b7-01"),)
            answer = await suite.recommendation.Recommend(photo(shopper=ANN), metadata=metadata)
        trace_export.stop()
    spans = list(collector.of(trace).values())
    (top,) = [span for span in spans if span.parent_id == "00f067aa0ba902b7"]
    assert top.attributes["sightline.degraded"] == ["PROFILE_UNAVAILABLE", "RANKER_UNAVAILABLE"]
    assert top.attributes["sightline.results"] == len(answer.results) > 0
    lost = {span.name: span.attributes["error.type"] for span in spans if span.failed}
    assert lost["rank"] == "A_BUG"
    assert "a bug" not in "".join(span.everything for span in spans)


async def test_every_call_of_a_peer_is_below_its_stage_below_the_callers_request():
    trace, caller = "5bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with collecting() as collector:
        given = TraceSettings(traces_endpoint=collector.endpoint, traces_share=0.0)
        trace_export.start("suite", given)
        async with running() as suite:
            metadata = (("traceparent", f"00-{trace}-{caller}-01"),)
            request = photo(shopper=ANN, session_id="my-secret-visit")
            request.signals.add(text="my secret wish")
            await suite.recommendation.Recommend(request, metadata=metadata)
        trace_export.stop()
    spans = collector.of(trace)

    def above(span):
        names = []
        while span.parent_id in spans:
            span = spans[span.parent_id]
            names.append((span.kind, span.name.rpartition("/")[2]))
        assert span.parent_id == caller
        return names

    served = [s for s in spans.values() if s.kind == "SERVER" and s.parent_id != caller]
    ways = {(span.name.rpartition("/")[2], *above(span)) for span in served}
    top = ("SERVER", "Recommend")
    assert {
        ("BatchEmbed", ("CLIENT", "BatchEmbed"), ("INTERNAL", "embed"), top),
        ("Search", ("CLIENT", "Search"), ("INTERNAL", "retrieve"), top),
        ("Rank", ("CLIENT", "Rank"), ("INTERNAL", "rank"), top),
    } <= ways
    sent = "".join(span.everything for span in collector.spans)
    assert not [each for each in ("secret", "ann-the-customer") if each in sent]
