"""A gRPC server with the parts that all services share."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
import uvloop
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from servicekit import telemetry
from servicekit.admission import costs
from servicekit.admission.access import OPEN, AccessPolicy
from servicekit.admission.limits import MIB, CallLimits, largest
from servicekit.audit.entries import Audit
from servicekit.catalogs.known import KnownCatalogs
from servicekit.config import ServerSettings, SharedServerSettings
from servicekit.liveness import with_heartbeat
from servicekit.processes import process_group
from servicekit.processes.memory import keep_memory, keep_objects
from servicekit.rpc import hosting
from servicekit.rpc.interceptors import ObservedServer
from servicekit.rpc.local_channel import LocalServer
from servicekit.rpc.peers import NO_CREDENTIALS, PeerCredentials
from servicekit.rpc.tls import Certificates
from servicekit.tasks.loops import Loop
from servicekit.tasks.supervision import confined
from servicekit.watched_files import Unreadable

T = TypeVar("T")

PRIVATE = 0o077
"""The umask of every process that stores data: only its user may access its files."""

LEAST_PING_MILLISECONDS = 2_000
"""Minimum milliseconds between pings of a peer; the connection is closed at the third ping that
comes earlier."""

HANDSHAKE_MILLISECONDS = 10_000
"""Milliseconds in which a new connection has to speak TLS and HTTP/2."""
MOST_CONNECTIONS = 4_000
"""Connections to a port where no setting says how many, if the process may open twice as many
files."""

SWITCH_SECONDS = 0.0005
"""Seconds for which a thread keeps the interpreter while another one waits for it. An event loop
waits so long at each of its steps beside a thread that evaluates a filter; Python's 5 ms made
ordinary requests 60 ms slower."""
RENEW_SECONDS = 60.0
"""Seconds between two checks of certificates while no connection is made."""

Context = grpc.aio.ServicerContext[Any, Any]
"""The call context that gRPC passes to handlers."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One gRPC service that a server offers."""

    add_to_server: Callable[[Any, Any], None]
    """The generated `add_…Servicer_to_server`."""
    servicer: object
    """Its implementation; all handlers are coroutines or async generators."""
    full_name: str
    """Full name, e.g. `sightline.embedder.v1.EmbeddingService`; also its name in health."""

    @classmethod
    def of(cls, servicer: object) -> Self:
        """Return the binding of a servicer, named after its generated base class: a proto's package
        is that of its Python code."""
        base = cls.base_of(servicer)
        if base is None:
            raise TypeError(f"{type(servicer).__name__} has no generated base class")
        add = getattr(sys.modules[base.__module__], f"add_{base.__name__}_to_server")
        package = base.__module__.rpartition(".")[0]
        return cls(add, servicer, f"{package}.{base.__name__.removesuffix('Servicer')}")

    @staticmethod
    def base_of(servicer: object) -> type | None:
        """Return the generated base class of a servicer."""
        kinds = type(servicer).__mro__
        return next((kind for kind in kinds if kind.__module__.endswith("_pb2_grpc")), None)

    @classmethod
    def by_name(cls, service: Any, servicer: object) -> Self:
        """Return the binding of those methods of a service, given by its descriptor, that a
        servicer has. A method may return bytes in place of a message."""
        return cls(partial(_add_methods, service), servicer, service.full_name)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that accepts calls."""

    port: int
    """0 takes a free one."""
    access: AccessPolicy = OPEN
    """Policy for callers, but for health and reflection."""
    tls: Certificates | None = None
    """`None`: plain text."""
    socket: Path | None = None
    """Unix socket in place of the port; only the process's user may connect."""


class RunningServer:
    """Running servers on `ports`, the first of which is `port`."""

    def __init__(
        self,
        servers: Sequence[grpc.aio.Server],
        ports: Sequence[int],
        health_servicer: Any,
        stop_metrics: Callable[[], None],
        beside: asyncio.Task[None],
    ) -> None:
        """Hold running servers; `beside` is a task that `stop` cancels."""
        self.port, self.ports = ports[0], ports
        self._beside = beside
        self._servers = servers
        self._health = health_servicer
        self._stop_metrics = stop_metrics

    async def stop(self, grace: float = 0.0) -> None:
        """Report NOT_SERVING, reject new calls, cancel those that last longer than `grace`
        seconds."""
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(*(each.stop(grace) for each in self._servers))
        self._beside.cancel()
        await asyncio.to_thread(self._stop_metrics)


def run(
    main: Coroutine[Any, Any, T],
    settings: SharedServerSettings | None = None,
    blocked_seconds: float | None = None,
) -> T:
    """Run a service's `main` on uvloop, with files that only its user may access.

    If `settings` ask for several processes, this one starts and supervises them, and exits with
    them. `blocked_seconds`: see `liveness.with_heartbeat`.
    """
    os.umask(PRIVATE)
    number = process_group.number()
    if number is not None:
        process_group.stop_with_supervisor()
        telemetry.number_lines(number)
    elif settings is not None and settings.processes > 1:
        main.close()
        raise SystemExit(process_group.supervise(settings))
    sys.setswitchinterval(SWITCH_SECONDS)
    keep_memory()
    try:
        return uvloop.run(with_heartbeat(main, blocked_seconds))
    except Unreadable as error:
        raise SystemExit(f"does not start: {error}") from None


async def start(
    bindings: Sequence[Binding],
    settings: ServerSettings,
    service: str,
    access: AccessPolicy = OPEN,
    audit: Audit | None = None,
    *,
    tls: Certificates | None = None,
    also: Sequence[Listener] = (),
    catalogs: KnownCatalogs | None = None,
    lent: object = None,
) -> RunningServer:
    """Start to serve `bindings`; health "" and each full name report SERVING. `access` and `tls`
    are those of the settings' port, see Listener; `also`: further ports. `audit` records audited
    calls; None disables recording. `catalogs`: None: those of the settings. `lent`: what the other
    services of the process may use.

    Raises OSError when a port is taken.
    """
    costs.install(asyncio.get_running_loop())
    host = hosting.running.get()
    health_servicer = health.aio.HealthServicer() if host is None else host.health  # type: ignore[attr-defined]
    limits = CallLimits(service, settings, hosting.services(), catalogs)  # of all ports together

    def observing(server: grpc.aio.Server, who: AccessPolicy) -> ObservedServer:
        return ObservedServer(server, service, who, audit, limits.of_a_port())

    listeners = (Listener(settings.port, access, tls), *also)
    listening = [
        _listen(bindings, settings, listener, health_servicer, observing) for listener in listeners
    ]
    if settings.probe_port:
        probed = Listener(settings.probe_port)
        listening.append(_listen((), settings, probed, health_servicer, observing))
    servers, ports = zip(*listening, strict=True)
    if host is not None:
        host.offer(service, _offered(bindings, health_servicer, partial(observing, who=access)))
        if lent is not None:
            host.lend(service, lent, limits.bytes)
    stop_metrics = _serve_metrics(settings)
    for server in servers:
        await server.start()
    for binding in bindings:
        await health_servicer.set(binding.full_name, health_pb2.HealthCheckResponse.SERVING)
    await report_serving(service)
    renewing = asyncio.create_task(_renew({each.tls for each in listeners if each.tls}))
    return RunningServer(servers, ports, health_servicer, stop_metrics, renewing)


def _offered(
    bindings: Sequence[Binding], health_servicer: Any, observing: Callable[[Any], ObservedServer]
) -> LocalServer:
    """Return the server for the other services of this process."""
    server = LocalServer()
    _add(bindings, health_servicer, observing(server))
    return server


def _add(bindings: Sequence[Binding], health_servicer: Any, observed: ObservedServer) -> None:
    """Add health and services to a server."""
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, observed)
    for binding in bindings:
        binding.add_to_server(binding.servicer, observed)


async def _renew(certificates: Collection[Certificates]) -> None:
    """Reload changed certificates also without new connections, so that their metric is current."""

    async def renew() -> None:
        for each in certificates:
            with confined("certificates"):
                each.calling()

    if certificates:
        await Loop("certificates", renew, RENEW_SECONDS).run()


def _add_methods(service: Any, servicer: object, server: Any) -> None:
    """Add the methods of a service that a servicer has."""
    handlers = {
        f"/{service.full_name}/{method.name}": _handler(method, getattr(servicer, method.name))
        for method in service.methods
        if hasattr(servicer, method.name)
    }
    server.add_generic_rpc_handlers((_Methods(handlers),))


def _handler(method: Any, inner: Any) -> Any:
    kinds = (grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler)
    request, answer = map(GetMessageClass, (method.input_type, method.output_type))

    def written(found: Any) -> bytes:
        return found if type(found) is bytes else answer.SerializeToString(found)

    return kinds[method.server_streaming](inner, request.FromString, written)


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Handlers by the path of their method."""

    def __init__(self, handlers: Mapping[str, Any]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method)


def _listen(
    bindings: Sequence[Binding],
    settings: ServerSettings,
    listener: Listener,
    health_servicer: Any,
    observing: Callable[[grpc.aio.Server, AccessPolicy], ObservedServer],
) -> tuple[grpc.aio.Server, int]:
    """Return an unstarted server and its port. Raises OSError."""
    # Slightly more than any call accepts, so that larger requests are rejected with a reason.
    received = min(largest(b.full_name for b in bindings), settings.max_message_bytes) + MIB
    server = grpc.aio.server(options=_options(settings, received))
    observed = observing(server, listener.access)
    _add(bindings, health_servicer, observed)
    if settings.reflection:
        names = [each.full_name for each in bindings]
        shown = [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(shown),  # type: ignore[attr-defined]
            observed,
        )
    address = listen_address(settings.host, listener.port)
    if listener.socket is not None:
        address = f"unix:{listener.socket}"
    try:
        if listener.tls is None:
            return server, server.add_insecure_port(address)
        return server, server.add_secure_port(address, listener.tls.serving())
    except RuntimeError as error:
        raise OSError(f"can't listen on {address}; is the port taken?") from error


async def serve(
    bindings: Sequence[Binding],
    settings: ServerSettings,
    *,
    service: str,
    peers: PeerCredentials = NO_CREDENTIALS,
    listeners: Sequence[Listener] = (),
    audit: Audit | None = None,
    catalogs: KnownCatalogs | None = None,
    lent: object = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, let calls in progress end, then run `on_stop`.

    `peers` decides who may call the settings' port; `listeners` replaces it by other ports and
    policies. `catalogs` are followed meanwhile. `lent`: see `start`. A second signal cuts the drain
    short. To be run by `run`.
    """
    log, stop = telemetry.get_logger(), asked_to_end(service)
    own, *also = listeners or [Listener(settings.port, peers.access(), peers.tls)]
    if catalogs is not None:
        await catalogs.start()
    running = await start(
        *(bindings, settings, service, own.access, audit),
        tls=own.tls,
        also=also,
        catalogs=catalogs,
        lent=lent,
    )
    keep_objects()
    log.info("serving", ports=running.ports, services=[b.full_name for b in bindings])
    try:
        await stop.wait()
        stop.clear()
        log.info("draining", seconds=settings.drain_seconds)
        await _drain(running, settings.drain_seconds, stop)
    finally:
        if (host := hosting.running.get()) is not None:
            await host.withdraw(service)
        if catalogs is not None:
            await catalogs.stop()
        if on_stop is not None:
            await on_stop()
        log.info("stopped")


async def _drain(running: RunningServer, seconds: float, again: asyncio.Event) -> None:
    drained = asyncio.ensure_future(running.stop(seconds))
    hurried = asyncio.ensure_future(again.wait())
    await asyncio.wait({drained, hurried}, return_when=asyncio.FIRST_COMPLETED)
    if not drained.done():
        await running.stop(0)
    hurried.cancel()
    await drained


def asked_to_end(service: str) -> asyncio.Event:
    """Return an event that is set when a service is to end: by SIGTERM and SIGINT, or by the other
    services of its process, where there are some."""
    if (host := hosting.running.get()) is not None:
        return host.end_of(service)
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event


async def report_serving(service: str) -> None:
    """Count a service as serving in the health of its process, where it is one of several."""
    if (host := hosting.running.get()) is not None:
        await host.report_serving(service)


def listen_address(host: str, port: int) -> str:
    """Return gRPC's form of an address: without brackets `::1:8600` would be another host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _serve_metrics(settings: ServerSettings) -> Callable[[], None]:
    if not settings.metrics_port or process_group.number() is not None:
        return lambda: None
    return telemetry.serve_metrics(settings.metrics_port, settings.host)


def _options(settings: ServerSettings, received: int) -> list[tuple[str, int]]:
    return [
        *_connection_options(settings),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", received),
        # Compressed requests fail with UNIMPLEMENTED: gRPC expands one before any check of its
        # caller, to the size that the largest call accepts. The bit stands for "uncompressed".
        ("grpc.compression_enabled_algorithms_bitset", 1),
        # Two servers on one port would share its calls: a leftover process must be detected at
        # once.
        ("grpc.so_reuseport", int(process_group.number() is not None)),
        # Our channels ping every 2.5 s; gRPC's default would close such connections.
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_MILLISECONDS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _connection_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return what limits connections. gRPC can't count them by address."""
    # gRPC varies the age by 10%, so that callers do not reconnect all at once. Calls in progress
    # are not cut off: their own limits end them.
    lives = {"age": settings.connection_age_seconds, "idle": settings.connection_idle_seconds}
    return [
        *((f"grpc.max_connection_{of}_ms", round(s * 1_000)) for of, s in lives.items() if s),
        ("grpc.max_allowed_incoming_connections", settings.max_connections or _connections()),
        ("grpc.max_concurrent_streams", settings.max_calls_per_connection),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MILLISECONDS),
    ]


def _connections() -> int:
    """Return the default limit of connections: stores and peers need files, too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    return MOST_CONNECTIONS if unlimited else max(1, min(MOST_CONNECTIONS, files // 2))
