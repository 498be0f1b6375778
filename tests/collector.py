"""A collector of traces: real servers of OTLP, over gRPC and over HTTP, that keep what they get."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Span:
    """One received span."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: Mapping[str, Any]
    everything: str
    """Everything sent about it, and about its process, as text."""


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Received spans, and how they arrived."""

    spans: list[Span] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""
    """Address for gRPC."""
    url: str = ""
    """Address for HTTP."""
    hang: threading.Event | None = None
    """While it is not set, nothing is answered."""

    def Export(self, request: pb.ExportTraceServiceRequest, context: Any) -> Any:
        self.metadata |= {key: str(value) for key, value in context.invocation_metadata()}
        if self.hang is not None:
            self.hang.wait()
        self.take(request)
        return pb.ExportTraceServiceResponse()

    def take(self, request: pb.ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_span(span, about) for span in scope.spans]

    def of(self, trace_id: str) -> dict[str, Span]:
        """Return the spans of a trace by their ids."""
        return {span.span_id: span for span in list(self.spans) if span.trace_id == trace_id}


def _span(span: trace_pb2.Span, about: Mapping[str, Any]) -> Span:
    return Span(
        service=str(about.get("service.name", "")),
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes=_values(span.attributes),
        everything=json.dumps([dict(about), MessageToDict(span)]),
    )


def _values(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in attributes:
        kind = each.value.WhichOneof("value")
        value: Any = getattr(each.value, kind) if kind else None
        if kind == "array_value":
            value = [item.string_value for item in value.values]
        found[each.key] = value
    return found


@contextmanager
def collecting(
    credentials: grpc.ServerCredentials | None = None, port: int = 0
) -> Iterator[Collector]:
    """Run a collector during the block; TLS with `credentials`, gRPC on `port`."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    offer: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    offer(collector, server)
    if credentials is None:
        port = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    scheme = "http" if credentials is None else "https"
    collector.endpoint = f"{scheme}://localhost:{port}"
    server.start()
    web = ThreadingHTTPServer(("127.0.0.1", 0), _handler(collector))
    collector.url = f"http://127.0.0.1:{web.server_port}/v1/traces"
    answering = threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True)
    answering.start()
    try:
        yield collector
    finally:
        if collector.hang is not None:
            collector.hang.set()
        web.shutdown()
        web.server_close()
        answering.join()
        server.stop(None).wait()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if "json" in self.headers["Content-Type"]:
                collector.take(_of_json(json.loads(body)))
            else:
                collector.take(pb.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    return Handler


def _of_json(given: Any) -> pb.ExportTraceServiceRequest:
    """Parse OTLP's JSON, which differs from protobuf's in hexadecimal ids."""
    return ParseDict(_as_base64(given), pb.ExportTraceServiceRequest(), ignore_unknown_fields=True)


def _as_base64(given: Any) -> Any:
    if isinstance(given, list):
        return [_as_base64(each) for each in given]
    if not isinstance(given, dict):
        return given
    return {
        key: b64encode(bytes.fromhex(value)).decode() if key in _IDS else _as_base64(value)
        for key, value in given.items()
    }


_IDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
