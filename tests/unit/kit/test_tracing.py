"""Spans of calls between real servers, as a real collector gets them."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest
import trustme
from prometheus_client import REGISTRY

from gateway.settings import GatewaySettings
from servicekit import startup, trace_export, tracing
from servicekit.admission import access
from servicekit.config import ServerSettings, SharedServerSettings, TraceSettings
from servicekit.errors import ServiceError, Unauthenticated
from servicekit.rpc import channel, server
from servicekit.telemetry import Stages
from tests.collector import Collector, Span, collecting
from tests.engines import free_port
from tests.fakes.kit_echo import PERSONAL, Echo, binding
from tests.fakes.kit_logs import json_logs
from tests.waiting import SECONDS, until

FOR_EVER = "3600"
"""Seconds of a call to a collector, more than any test takes."""

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
UNSAMPLED = (("traceparent", f"00-{TRACE}-{PARENT}-00"),)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started
        trace_export.stop()


def trace(collector: Collector, share: float = 0.0, settings: TraceSettings | None = None) -> None:
    given = settings or TraceSettings(traces_endpoint=collector.endpoint, traces_share=share)
    trace_export.start("shop", given)


def outcomes() -> dict[str, float]:
    names = ("sent", "queue_full", "not_taken", "shutdown")
    found = {n: REGISTRY.get_sample_value("sightline_spans_total", {"outcome": n}) for n in names}
    return {name: value or 0.0 for name, value in found.items()}


@asynccontextmanager
async def chain(
    last: Callable[[], object] = lambda: None, admitting: access.AccessPolicy = access.OPEN
) -> AsyncIterator[tuple[grpc.aio.Channel, list[str]]]:
    """Run front → back. Yield a channel to front, and the values of traceparent that back gets."""
    seen: list[str] = []

    async def look() -> bytes:
        seen.append(tracing.carried().get("traceparent", ""))
        with Stages().measure("looking"):
            last()
        return b"seen"

    async with _serving(Echo(peek=look), access.OPEN) as back:

        async def ask() -> bytes:
            with Stages().measure("asking"):
                return bytes(await back.unary_unary("/test.Echo/Unary")(b"peek", timeout=SECONDS))

        async with _serving(Echo(peek=ask), admitting) as front:
            yield front, seen


@asynccontextmanager
async def _serving(
    servicer: Echo, admitting: access.AccessPolicy
) -> AsyncIterator[grpc.aio.Channel]:
    running = await server.start([binding(servicer)], ServerSettings(), "shop", admitting)
    peer = channel.connect(f"127.0.0.1:{running.port}")
    try:
        yield peer
    finally:
        await peer.close(None)
        await running.stop()


def logged(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the service's own lines: gRPC's are there too, of a connection that ended."""
    lines = capfd.readouterr().err.splitlines()
    return [json.loads(text) for text in lines if text.startswith("{")]


def sampled(traceparent: str) -> bool:
    return bool(int(traceparent[-2:], 16) & 1)


async def ask(
    front: grpc.aio.Channel, request: bytes = b"peek", metadata: tuple[tuple[str, str], ...] = ()
) -> None:
    await front.unary_unary("/test.Echo/Unary")(request, timeout=SECONDS, metadata=metadata)


def line(spans: dict[str, Span]) -> list[Span]:
    """Return the spans in order, each the parent of the next one."""
    below = {span.parent_id: span for span in spans.values()}
    found = [next(span for span in spans.values() if span.parent_id not in spans)]
    while found[-1].span_id in below:
        found.append(below[found[-1].span_id])
    return found


async def test_one_trace_through_two_servers(collector: Collector, capfd) -> None:
    with json_logs():
        trace(collector)
        async with chain() as (front, _):
            await ask(front, metadata=SAMPLED)
        trace_export.stop()
    found = line(collector.of(TRACE))
    assert [(span.kind, span.name) for span in found] == [
        ("SERVER", "test.Echo/Unary"),
        ("INTERNAL", "asking"),
        ("CLIENT", "test.Echo/Unary"),
        ("SERVER", "test.Echo/Unary"),
        ("INTERNAL", "looking"),
    ]
    assert found[0].parent_id == PARENT
    assert {span.service for span in found} == {"shop"}
    called = {"rpc.system": "grpc", "rpc.service": "test.Echo", "rpc.method": "Unary"}
    for span in (found[0], found[2], found[3]):
        assert called.items() <= span.attributes.items()
        assert (span.attributes["rpc.grpc.status_code"], span.failed) == (0, False)
    calls = [entry for entry in logged(capfd) if entry["event"] == "call"]
    assert [entry["trace_id"] for entry in calls] == [TRACE, TRACE]
    assert [entry["span_id"] for entry in calls] == [found[3].span_id, found[0].span_id]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 5)])
async def test_the_share_decides_at_the_first_server_for_all(
    collector: Collector, share: float, count: int
) -> None:
    trace(collector, share)
    async with chain() as (front, seen):
        await ask(front)
    trace_export.stop()
    assert len(collector.spans) == count
    # The back server, whose share is the same, knows what was decided.
    assert sampled(seen[0]) == bool(count)


async def test_a_trace_that_nobody_records_goes_on_as_it_came(collector: Collector) -> None:
    trace(collector, 1.0)
    async with chain() as (front, seen):
        await ask(front, metadata=UNSAMPLED)
    trace_export.stop()
    assert (collector.spans, seen) == ([], [UNSAMPLED[0][1]])


async def test_a_callers_state_goes_on_unless_it_is_long() -> None:
    seen: list[str] = []
    async with chain(lambda: seen.append(tracing.carried().get("tracestate", ""))) as (front, _):
        await ask(front, metadata=(*SAMPLED, ("tracestate", "shop=42")))
        long = ",".join(f"vendor{number}={'x' * 100}" for number in range(6))
        await ask(front, metadata=(*SAMPLED, ("tracestate", long)))
    assert seen == ["shop=42", ""]


async def test_callers_can_not_have_everything_recorded(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "SpanRate", partial(tracing.SpanRate, clock=lambda: 0.0))
    given = GatewaySettings(
        traces_endpoint=collector.endpoint, traces_share=0.0, traces_per_second=2.0
    )
    trace(collector, settings=given)
    async with chain() as (front, seen):
        for _ in range(20):
            await ask(front, metadata=SAMPLED)
    trace_export.stop()
    recorded = [text for text in seen if sampled(text)]
    assert 1 <= len(recorded) <= 2  # both servers of this process take from the two of a second
    assert all(text.startswith(f"00-{TRACE}-") for text in seen)


def test_a_rate_saves_up_one_second() -> None:
    now = [0.0]
    rate = tracing.SpanRate(2.0, lambda: now[0])
    assert [rate.take() for _ in range(3)] == [True, True, False]
    now[0] = 0.5
    assert [rate.take() for _ in range(2)] == [True, False]
    now[0] = 60.0
    assert [rate.take() for _ in range(3)] == [True, True, False]
    assert not tracing.SpanRate(0.0).take()


async def test_who_is_not_admitted_has_nothing_recorded(collector: Collector) -> None:
    class Nobody(access.AccessPolicy):
        def admit(self, *_: object) -> access.Caller:
            raise Unauthenticated("who?", reason="TOKEN_MISSING")

    trace(collector, 1.0)
    async with chain(admitting=Nobody()) as (front, _):
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(front, metadata=SAMPLED)
    trace_export.stop()
    assert collector.spans == []


async def test_a_failure_says_of_which_kind_and_nothing_else(collector: Collector) -> None:
    trace(collector)
    async with chain() as (front, _):
        for request in (b"boom", b"bad"):
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(front, request, SAMPLED)
    trace_export.stop()
    kinds = [(s.attributes["error.type"], s.failed) for s in collector.of(TRACE).values()]
    assert sorted(kinds) == [("COLOUR_UNKNOWN", False), ("INTERNAL", True)]
    assert not any(PERSONAL in span.everything for span in collector.spans)


async def test_one_call_makes_so_many_spans_and_no_more(collector: Collector) -> None:
    def work() -> None:
        for _ in range(tracing.MOST_SPANS + 5):
            with Stages().measure("part"):
                pass

    trace(collector)
    async with chain(work) as (front, _):
        await ask(front, metadata=SAMPLED)
    trace_export.stop()
    parts = [span for span in collector.spans if span.name == "part"]
    left_out = [span.attributes.get(tracing.LEFT_OUT) for span in collector.spans]
    assert len(parts) == tracing.MOST_SPANS - 1  # less the stage around them
    assert 6 in left_out


async def test_a_job_is_a_trace_of_its_own_and_reaches_into_its_process(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace(collector)

    def work() -> None:
        with tracing.job("train", "wines", "j-1"):
            monkeypatch.setenv("TRACEPARENT", tracing.for_processes()["TRACEPARENT"])
            with tracing.job("train", "wines", "j-1"):
                pass
            raise ServiceError(PERSONAL, reason="TOO_FEW_EVENTS")

    with pytest.raises(ServiceError):
        work()
    assert tracing.for_processes() == {}
    trace_export.stop()
    inner, outer = collector.spans
    assert (inner.parent_id, inner.trace_id) == (outer.span_id, outer.trace_id)
    assert outer.attributes["error.type"] == "TOO_FEW_EVENTS"
    assert (outer.parent_id, outer.attributes[tracing.CATALOG]) == ("", "wines")
    assert PERSONAL not in outer.everything


@pytest.mark.full
async def test_a_measured_time_names_a_trace_that_is_recorded(collector: Collector) -> None:
    trace(collector)
    async with chain() as (front, _):
        other = "1" * 32
        await ask(front, metadata=(("traceparent", f"00-{other}-{PARENT}-00"),))
        assert other not in exposition()
        await ask(front, metadata=(("traceparent", f"00-{other}-{PARENT}-01"),))
        assert f'trace_id="{other}"' in exposition()


def exposition() -> str:
    from prometheus_client.openmetrics.exposition import generate_latest

    return generate_latest(REGISTRY).decode()


@pytest.mark.full
async def test_a_collector_that_is_away_costs_nothing_and_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    monkeypatch.setattr(trace_export, "PAUSE_SECONDS", 0.02)
    before, port = outcomes(), free_port()
    away = TraceSettings(traces_endpoint=f"http://localhost:{port}", traces_share=1.0)

    def came_to(outcome: str) -> float:
        return outcomes()[outcome] - before[outcome]

    async def delivered() -> bool:
        await ask(front)
        return came_to("sent") > 0

    with json_logs():
        trace_export.start("shop", away)
        async with chain() as (front, _):
            for count in (5, 10):
                await ask(front)
                await until(lambda: came_to("not_taken") == count)  # noqa: B023
            with collecting(port=port):
                await until(delivered)
                trace_export.stop()
    assert [entry["event"] for entry in logged(capfd) if entry["event"] != "call"] == [
        "the collector does not accept traces; they are dropped",
        "traces are exported again",
    ]


@pytest.mark.full
async def test_a_process_that_stops_does_not_wait_for_a_collector_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", FOR_EVER)
    away = TraceSettings(traces_endpoint="http://127.0.0.1:1", traces_share=1.0)
    before = sum(outcomes().values())
    trace_export.start("shop", away)
    async with chain() as (front, _):
        await ask(front)
    trace_export.stop(0.2)
    await until(lambda: sum(outcomes().values()) - before == 5)


async def test_what_was_made_before_the_end_is_sent_by_a_thread_that_begins_late(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, stopping = trace_export.Outbox._send, threading.Event()

    def late(outbox: trace_export.Outbox) -> None:
        stopping.wait(SECONDS)
        send(outbox)

    monkeypatch.setattr(trace_export.Outbox, "_send", late)
    trace(collector, 1.0)
    async with chain() as (front, _):
        await ask(front)
    join = threading.Thread.join

    def joined(thread: threading.Thread, seconds: float | None = None) -> None:
        stopping.set()
        join(thread, SECONDS)

    monkeypatch.setattr(threading.Thread, "join", joined)
    trace_export.stop()
    assert len(collector.spans) == 5


@pytest.mark.full
@pytest.mark.slow
async def test_a_collector_that_hangs_costs_a_bounded_queue(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", FOR_EVER)
    before, collector.hang = outcomes(), threading.Event()
    monkeypatch.setattr(trace_export, "MOST_WAITING", 300)
    trace(collector, 1.0)
    async with chain() as (front, _):
        for _ in range(200):  # 1,000 spans: 256 under way, 300 wait
            await ask(front)
        assert outcomes()["queue_full"] - before["queue_full"] >= 400
        trace_export.stop(0.2)


def test_who_looks_after_processes_sends_nothing_and_each_of_them_does(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = SharedServerSettings(traces_endpoint=collector.endpoint, port=1, processes=2)
    for number, count in (("", 0), ("2", 1)):
        monkeypatch.setenv("SIGHTLINE_PROCESS", number)
        with json_logs():
            startup.observe("shop", given, "warning")
        with tracing.job("train", "wines", "j-1"):
            pass
        trace_export.stop()
        assert len(collector.spans) == count
    assert collector.spans[0].everything.count(f'"{socket.gethostname()}/2"') == 1


@pytest.mark.parametrize(
    "endpoint", ["otel:4317", "http://otel", "http://me:secret@otel:4317", "http://otel:4317/v1"]
)
def test_a_collector_is_named_by_scheme_host_and_port(endpoint: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        TraceSettings(traces_endpoint=endpoint)


async def test_tls_and_headers_come_from_opentelemetrys_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.crt")
    own = ca.issue_cert("localhost")
    chain_pem = b"".join(each.bytes() for each in own.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(own.private_key_pem.bytes(), chain_pem)])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=wines")
    with collecting(credentials) as collector:
        trace(collector)
        with tracing.job("train", "wines", "j-1"):
            pass
        trace_export.stop()
    assert len(collector.spans) == 1
    assert collector.metadata["x-tenant"] == "wines"
