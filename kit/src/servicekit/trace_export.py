"""Export of spans to a collector by OTLP over gRPC, in a separate thread.

Spans that a collector does not take are dropped and counted. Loaded only if a collector is
configured, as OpenTelemetry's SDK takes memory and time. Its environment variables configure the
exporter (`OTEL_EXPORTER_OTLP_HEADERS`, `_CERTIFICATE`, `_CLIENT_KEY`, `_CLIENT_CERTIFICATE`,
`_TIMEOUT`, `_COMPRESSION`) and the resource (`OTEL_RESOURCE_ATTRIBUTES`).

Not the SDK's BatchSpanProcessor (1.45, tried): operators see in sightline_spans_total which exports
failed, which spans found the queue full and which a stop dropped, and a process stops within two
seconds. With it that takes an exporter that counts, a second count of its queue and a timer that
ends its stop of 30 s: more lines than the queue and the thread here.
"""

from __future__ import annotations

import atexit
import logging
import socket
import threading
from collections import deque
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from prometheus_client import Counter

from servicekit import telemetry, tracing
from servicekit.config import TraceSettings
from servicekit.processes import process_group

MOST_WAITING = 2048
"""Maximum number of spans in the queue, of some 2 KB each."""
BATCH = 256
PAUSE_SECONDS = 2.0
"""Maximum seconds that spans are collected before they are sent."""
STOP_SECONDS = 2.0
"""Seconds that a stopping process continues to send."""

SPANS = Counter(
    "sightline_spans_total",
    "Recorded spans by outcome: sent; queue_full: the collector is too slow; not_taken: it rejected"
    " them or did not answer; shutdown: the process stopped first.",
    ("outcome",),
)


class Outbox(SpanProcessor):
    """A bounded queue of spans that a separate thread sends."""

    def __init__(self, exporter: SpanExporter, most: int) -> None:
        self._exporter, self._most = exporter, most
        self._waiting: deque[ReadableSpan] = deque()
        self._wake, self._closing = threading.Event(), False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._delivers = True

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, unless the queue is full."""
        if self._closing or len(self._waiting) >= self._most:
            SPANS.labels("shutdown" if self._closing else "queue_full").inc()
            return
        self._waiting.append(span)
        if self._thread is None:
            self._start()
        if len(self._waiting) >= BATCH:
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Accept no more spans, send queued ones for at most `seconds`, drop the rest."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
        self._exporter.shutdown()
        SPANS.labels("shutdown").inc(len(self._waiting))
        self._waiting.clear()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send, name="spans", daemon=True)
                self._thread.start()

    def _send(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(PAUSE_SECONDS)
            self._wake.clear()
            closing = self._closing  # read first: then all spans queued before are sent
            while self._waiting:
                size = min(BATCH, len(self._waiting))
                self._hand_over([self._waiting.popleft() for _ in range(size)])

    def _hand_over(self, batch: list[ReadableSpan]) -> None:
        try:
            taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # for example of a closed channel
            taken = False
        SPANS.labels("sent" if taken else "not_taken").inc(len(batch))
        if taken is not self._delivers and not self._closing:
            self._delivers = taken
            log = telemetry.get_logger()
            if taken:
                log.info("traces are exported again")
            else:
                log.warning("the collector does not accept traces; they are dropped")


_running: Outbox | None = None


def start(service: str, settings: TraceSettings) -> None:
    """Record spans in the name of `service` and export them, until the process ends or `stop`."""
    global _running  # noqa: PLW0603 - one for each process
    # The exporter would log each failure in its own format.
    logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
    number, host = process_group.number(), socket.gethostname()
    resource = Resource.create(
        {
            "service.namespace": "sightline",
            "service.name": service,
            "service.version": version("sightline-kit"),
            "service.instance.id": host if number is None else f"{host}/{number}",
        }
    )
    provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    _running = Outbox(OTLPSpanExporter(settings.traces_endpoint), MOST_WAITING)
    provider.add_span_processor(_running)
    followed = tracing.SpanRate(settings.traces_followed())
    tracing.record(
        tracing.Recording(provider.get_tracer("sightline"), settings.traces_share, followed)
    )
    atexit.register(stop)


def stop(seconds: float = STOP_SECONDS) -> None:
    """Record no more spans, and send queued ones for at most `seconds`."""
    global _running
    tracing.record(None)
    running, _running = _running, None
    if running is not None:
        running.close(seconds)
