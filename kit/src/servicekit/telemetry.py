"""Logs, metrics and stage timings. Nothing personal and no message contents go in here."""

import logging
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from opentelemetry import trace
from prometheus_client import Histogram, start_http_server

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the current call; goes into every log line and on to every peer."""

service_name: ContextVar[str] = ContextVar("service_name", default="")
"""Name of the service that serves the current call; the `service` label of its stages."""

RPC_SECONDS = Histogram(
    "sightline_rpc_seconds",
    "Time from a call's arrival to its end, by final status code.",
    ("service", "method", "code"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
STAGE_SECONDS = Histogram(
    "sightline_stage_seconds",
    "Time that one stage of a request took.",
    ("service", "stage"),
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def accept_request_id(given: str | bytes | None) -> str:
    """`given` when it is 1 to 128 printable ASCII characters without spaces, else a new id."""
    if isinstance(given, str) and _REQUEST_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Stage:
    """One timed part of a request."""

    name: str
    """Which part; a fixed word of the code, never request data (it is a metric label)."""
    start: float
    """Seconds from the creation of its Stages to the start of this part."""
    duration: float
    """Seconds that it took, also when it failed."""


class Stages:
    """The stage timings of one request. Stages may nest and may run side by side."""

    def __init__(
        self, service: str | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`service` labels the metric; by default the service of the current call."""
        self._service = service_name.get() if service is None else service
        self._clock = clock
        self._origin = clock()
        self._stages: list[Stage] = []

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Time the body as stage `name`."""
        start = self._clock()
        try:
            yield
        finally:
            duration = self._clock() - start
            self._stages.append(Stage(name, start - self._origin, duration))
            STAGE_SECONDS.labels(self._service, name).observe(duration)

    def record(self, name: str, start: float, duration: float) -> None:
        """Take down a part of ours that was timed in another process; as `measure` does."""
        self._stages.append(Stage(name, start, duration))
        STAGE_SECONDS.labels(self._service, name).observe(duration)

    def add(self, stage: Stage) -> None:
        """Take over a stage that was timed elsewhere, such as by a peer. No metric."""
        self._stages.append(stage)

    @property
    def elapsed(self) -> float:
        """Seconds since the creation."""
        return self._clock() - self._origin

    @property
    def finished(self) -> tuple[Stage, ...]:
        """The stages that ended so far, by start; an outer one before those within it."""
        return tuple(sorted(self._stages, key=lambda s: (s.start, -s.duration)))


def configure_logging(service: str, level: str = "info") -> None:
    """One JSON object a line on stderr, for our own logs and for those of libraries.

    Libraries log from `warning` up: below that they may print what they handle.
    """
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _context(service),
        _without_messages,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=repr),
            ],
        )
    )
    # What no line of ours shows need not be found out for each (docs.python.org, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level.upper())


_OURS = "sightline"


def get_logger() -> structlog.stdlib.BoundLogger:
    """The logger of all our code. Events are short constant texts; values go in as fields."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(_OURS)
    return logger


def _context(service: str) -> structlog.types.Processor:
    def add(
        _logger: object, _name: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.setdefault("service", service_name.get() or service)
        if current := request_id.get():
            event.setdefault("request_id", current)
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            event.setdefault("trace_id", f"{span.trace_id:032x}")
        return event

    return add


def _without_messages(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by types and places: an exception's text may quote the request."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event["exception"] = describe(found)
    return event


def describe(error: BaseException) -> list[str]:
    """`error` and what caused it as types and places, innermost call last, without any text."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(lines) < 200:
        seen.add(id(current))
        kind = type(current)
        lines.append(f"{kind.__module__}.{kind.__qualname__}")
        lines += [f"  {place}" for place in _places(current.__traceback__)]
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return lines


def _places(traceback: TracebackType | None) -> list[str]:
    places = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        path = "/".join(Path(code.co_filename).parts[-3:])
        places.append(f"{path}:{traceback.tb_lineno} in {code.co_qualname}")
        traceback = traceback.tb_next
    return places[-30:]


def serve_metrics(port: int, host: str = "127.0.0.1") -> Callable[[], None]:
    """Serve Prometheus metrics on `host`:`port` from a thread; returns what stops it.

    Raises OSError when the port is taken.
    """
    server, thread = start_http_server(port, addr=host)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    return stop
