"""The HTTP server: uvicorn with our limits, on the event loop of its process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, ClassVar

import orjson
import uvicorn
from grpc_health.v1 import health_pb2, health_pb2_grpc
from starlette.middleware.cors import CORSMiddleware

from gateway.http import fixes, openapi, reference
from gateway.http.app import HttpApp, Page
from gateway.http.calls import GatewayCalls
from gateway.http.contract import PublicMethod, public_methods
from gateway.http.exchange import HttpAnswer, HttpRequest, compressed
from gateway.http.hosts import KnownHosts
from gateway.http.protocol import ConnectionLimits, LimitedProtocol
from gateway.http.settings import HttpSettings
from gateway.http.tls import CallersTls
from servicekit import telemetry
from servicekit.processes import memory
from servicekit.rpc.channel import connect
from servicekit.rpc.server import report_serving
from servicekit.tasks.supervision import until_tick

READY_SECONDS = 2.0
"""Seconds that a readiness probe waits for the gateway."""
LEAST_BYTES = 2**28
"""Minimum bytes of large bodies that are held at once: two of the largest for each of two
callers."""
DATE_SECONDS = 1.0
"""Seconds between two updates of the Date header."""
EXPOSED = ("ETag", "Preference-Applied", "Retry-After", "X-Request-Id", "X-Sightline-Version")
"""Headers that pages of other origins may read."""


class _Uvicorn(uvicorn.Server):
    """A server that leaves signals to the process, and wakes once a second, not ten times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """Keep the Date header current until `end`."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(until_tick(DATE_SECONDS)):
                    await self._ending.wait()

    def end(self) -> None:
        """Let `serve` return once the requests in progress have ended."""
        self.should_exit = True
        self._ending.set()


class HttpServer:
    """A running server."""

    def __init__(self, server: _Uvicorn, task: asyncio.Task[None], port: int, calls: Any) -> None:
        self.port = port
        self._server, self._task, self._calls = server, task, calls

    async def stop(self) -> None:
        """Let requests in progress end, for the settings' `drain_seconds`; close connections."""
        self._server.end()
        await self._task
        await self._calls.close()


async def start(settings: HttpSettings) -> HttpServer:
    """Start to serve. Requires a running event loop. Raises OSError when the port is taken."""
    channel = connect(settings.gateway_target)
    calls = GatewayCalls(channel, lambda: connect(settings.gateway_target))
    application = app(settings, calls)
    bound = _bind(settings.host, settings.port)
    config = uvicorn.Config(
        application,
        http=_protocol(settings),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.connection_idle_seconds,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    config.load()
    tls = CallersTls.of(settings)
    config.ssl = None if tls is None else tls.context
    server = _Uvicorn(config)
    task = asyncio.create_task(_serve(server, bound, tls))
    return HttpServer(server, task, bound.getsockname()[1], calls)


def app(settings: HttpSettings, calls: GatewayCalls) -> Any:
    """Return the ASGI application for calls of a gateway."""
    methods = public_methods()
    pages: dict[str, Page] = {
        "/live": _live,
        "/ready": _ready(calls.channel),
        **reference.pages(),
        "/openapi.json": _described(methods),
        fixes.PATH: fixes.page,
    }
    served: Any = HttpApp(
        calls,
        methods,
        pages,
        body_seconds=settings.body_seconds,
        longest_seconds=settings.longest_seconds,
        most_bytes=settings.max_bytes_in_flight or max(memory.limit() // 8, LEAST_BYTES),
        hosts=KnownHosts(settings.hosts, settings.origins),
    )
    if settings.origins:
        served = CORSMiddleware(
            served,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
            max_age=7200,
        )
    return served


def _protocol(settings: HttpSettings) -> type[LimitedProtocol]:
    class Protocol(LimitedProtocol):
        limits = ConnectionLimits(
            settings.max_connections, settings.head_seconds, settings.reader_seconds
        )
        waiting: ClassVar[dict[LimitedProtocol, None]] = {}

    return Protocol


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=2048)
    bound.setblocking(False)
    return bound


async def _serve(server: _Uvicorn, bound: socket.socket, tls: CallersTls | None) -> None:
    renewing = None if tls is None else asyncio.create_task(tls.renew())
    try:
        await server.serve(sockets=[bound])
    finally:
        if renewing is not None:
            renewing.cancel()


async def _live(_: HttpRequest) -> HttpAnswer:
    return HttpAnswer(200, b'{"status":"SERVING"}')


def _ready(channel: Any) -> Page:
    check = health_pb2_grpc.HealthStub(channel).Check

    async def ready(_: HttpRequest) -> HttpAnswer:
        status = "NOT_SERVING"
        with suppress(Exception):
            found = await check(health_pb2.HealthCheckRequest(), timeout=READY_SECONDS)
            status = health_pb2.HealthCheckResponse.ServingStatus.Name(found.status)
        return HttpAnswer(200 if status == "SERVING" else 503, orjson.dumps({"status": status}))

    return ready


def _described(methods: Sequence[PublicMethod]) -> Page:
    """Return the page of the description, which is made at its first request."""

    @cache
    def made() -> tuple[bytes, bytes]:
        body = orjson.dumps(openapi.describe(methods, openapi.sources()))
        return body, compressed(body)

    async def page(_: HttpRequest) -> HttpAnswer:
        body, packed = await asyncio.to_thread(made)
        return HttpAnswer(200, body, packed=packed)

    return page


async def serve(settings: HttpSettings, stop: Callable[[], Awaitable[object]]) -> None:
    """Serve until `stop` returns."""
    log = telemetry.get_logger()
    running = await start(settings)
    stop_metrics = _metrics(settings)
    await report_serving(SERVICE)
    log.info("serving", ports=[running.port], services=["http"])
    try:
        await stop()
        log.info("draining", seconds=settings.drain_seconds)
    finally:
        await running.stop()
        await asyncio.to_thread(stop_metrics)
        log.info("stopped")


SERVICE = "gateway_http"
"""Name of the process, and of the service in one process."""


def _metrics(settings: HttpSettings) -> Callable[[], None]:
    if not settings.metrics_port:
        return lambda: None
    return telemetry.serve_metrics(settings.metrics_port, settings.host)
