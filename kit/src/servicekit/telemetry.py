"""Logs, metrics and stage timings, without personal data or message contents."""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from json.encoder import encode_basestring
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Histogram,
    make_wsgi_app,
    start_http_server,
)

from servicekit import tracing
from servicekit.liveness import LIVENESS
from servicekit.log_writer import LogWriter

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

stage_seconds = cache(STAGE_SECONDS.labels)
"""Returns the histogram of a service's stage. Cached: looking up a child costs more than observing.
Labels are fixed words, hence few."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def accept_request_id(given: str | bytes | None) -> str:
    """Return `given` if it is 1 to 128 letters, digits and `._:/+=-`, which covers UUIDs, trace ids
    and base64; else a new id. Logs quote no other text of a caller."""
    if isinstance(given, str) and _REQUEST_ID.fullmatch(given):
        return given
    return os.urandom(16).hex()


@dataclass(slots=True)  # not frozen: each answer creates some
class Stage:
    """One timed part of a request."""

    name: str
    """Name of the part: a fixed word of the code, never request data (it is a metric label)."""
    start: float
    """Seconds from the creation of its Stages to the start of this part."""
    duration: float
    """Seconds that it took, also when it failed."""


class Stages:
    """The stage timings of one request. Stages may nest and overlap."""

    def __init__(
        self, service: str | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`service` labels the metric; by default the service of the current call."""
        self._service = service_name.get() if service is None else service
        self._clock = clock
        self._origin = clock()
        self._stages: list[Stage] = []
        self.decoding_seconds = 0.0
        """Processor time of decoding photos so far, of rejected and abandoned ones too."""

    def measure(self, name: str) -> MeasuredStage:
        """Time the body as stage `name`."""
        return MeasuredStage(self, name)

    def record(self, name: str, start: float, duration: float) -> None:
        """Add a stage that was timed elsewhere, such as in another process."""
        tracing.part(name, self.elapsed - start, duration)
        self.note(name, start, duration)

    def note(self, name: str, start: float, duration: float) -> None:
        """Add a stage that has a span already."""
        self._stages.append(Stage(name, start, duration))
        stage_seconds(self._service, name).observe(duration)

    @property
    def elapsed(self) -> float:
        """Seconds since the creation."""
        return self._clock() - self._origin

    @property
    def finished(self) -> tuple[Stage, ...]:
        """The stages that ended so far, by start; an outer one before those within it."""
        return tuple(sorted(self._stages, key=lambda s: (s.start, -s.duration)))

    @property
    def spent(self) -> float | None:
        """Seconds of the stages that ended so far, together; None if there are none."""
        return sum([each.duration for each in self._stages]) if self._stages else None


class MeasuredStage:
    """Times a body as a stage; see Stages.measure."""

    __slots__ = ("_name", "_span", "_stages", "_start")

    def __init__(self, stages: Stages, name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        stages = self._stages
        self._start = stages._clock() - stages._origin
        self._span = tracing.child(self._name) if tracing.is_recording else None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._span is not None:
            self._span.end(error)
        stages = self._stages
        stages.note(self._name, self._start, stages._clock() - stages._origin - self._start)


def configure_logging(service: str, level: str = "info") -> None:
    """Write one JSON object a line to stderr, for our own logs and those of libraries.

    Libraries log from `warning` up: below that they may print message contents. A warning or an
    error is written at once, after all earlier lines. Lines of lower levels from an event loop's
    thread may be written up to 50 ms later, together: they are in the log after a normal stop, and
    may be missing after a crash.
    """
    global _lines, _calls_are_logged  # noqa: PLW0603 - global, like the logging configuration
    flush_logs()
    lines = _lines = LogWriter(sys.stderr)
    _calls_are_logged = level in ("debug", "info")
    finish = _finish(service)
    structlog.configure(
        processors=[finish],
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, finish]
        )
    )
    # Logging need not collect what no line shows (docs.python.org, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


_lines: LogWriter | None = None
"""The log writer, once logging is configured."""
_calls_are_logged = False

_process: dict[str, int] = {}
"""Fields that identify this process among others that serve the same port."""


def number_lines(process: int) -> None:
    """Add the process number to every further line."""
    _process["process"] = process


def flush_logs() -> None:
    """Write buffered lines. Also runs at the end of the process."""
    if _lines is not None:
        _lines.flush()


atexit.register(flush_logs)


class _Handler(logging.Handler):
    """Writes log records of libraries as lines of ours."""

    def __init__(self, lines: LogWriter) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
        else:
            self._lines.now(line)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Return the logger of all our code.

    Events are short constant texts; values go in as fields.
    """
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


class CallLine:
    """The log line of every call of one kind, whose constant part is encoded once.

    Every request writes one in every service, so its cost matters.
    """

    def __init__(self, service: str, method: str, code: str) -> None:
        """Encode the line of calls that `service` answered with `code`."""
        self._fields = {"service": service, "method": method, "code": code}
        same = {"event": "call", "level": "info", **self._fields, **_process}
        self._same = _encode(same)[:-1]

    def log(self, ms: float) -> None:
        """Log a call that took `ms`, as `get_logger().info("call", …)` would."""
        if _lines is None:
            get_logger().info("call", **self._fields, ms=ms)
        elif _calls_are_logged:
            line = f'{self._same}, "ms": {ms}, "timestamp": "{_timestamp()}"'
            if current := request_id.get():
                line = f'{line}, "request_id": {encode_basestring(current)}'
            if found := tracing.ids():
                line = f'{line}, "trace_id": "{found[0]}", "span_id": "{found[1]}"'
            _lines.soon(line + "}")


_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


def _timestamp() -> str:
    return f"{datetime.now(UTC).isoformat()[:-6]}Z"


def _finish(service: str) -> Callable[[object, str, MutableMapping[str, Any]], str]:
    """Return the one processor of every line: a single one, because each costs as much as its
    work."""

    def finish(_logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        event["level"] = level
        event["timestamp"] = _timestamp()
        event.setdefault("service", service_name.get() or service)
        event.update(_process)
        if current := request_id.get():
            event.setdefault("request_id", current)
        if found := tracing.ids():
            event.setdefault("trace_id", found[0])
            event.setdefault("span_id", found[1])
        if "exc_info" in event:
            _without_messages(event)
        return _encode(event)

    return finish


def _without_messages(event: MutableMapping[str, Any]) -> None:
    """Replace `exc_info` by types and places: an exception's text may quote the request."""
    found = event.pop("exc_info")
    if found is True:
        found = sys.exc_info()
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event["exception"] = describe(found)


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


def serve_metrics(
    port: int, host: str = "127.0.0.1", registry: CollectorRegistry = REGISTRY
) -> Callable[[], None]:
    """Serve Prometheus metrics and liveness (see `liveness`) on `host`:`port` from a thread. Return
    a function that stops it.

    Raises OSError when the port is taken.
    """
    server, thread = start_http_server(port, addr=host, registry=registry)
    server.set_app(LIVENESS.wrap(make_wsgi_app(registry)))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    return stop
