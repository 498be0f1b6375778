"""Channels to peers: load-balanced, with safe retries and fast reconnection after a restart."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Self, cast

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions

from servicekit.config import LOCAL
from servicekit.rpc import hosting
from servicekit.rpc.interceptors import passing_on
from servicekit.rpc.loans import Loan
from servicekit.rpc.peers import NO_CREDENTIALS, PeerCredentials

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
LONGEST_SECONDS = 86_400.0
"""Maximum seconds that a call, such as the fit of a space, may continue after certificates have
changed."""
_NEAR = re.compile(r"unix:.*|(dns:///|ipv4:)(127(\.[0-9]{1,3}){3}|localhost):[0-9]+")
"""A target of one process on this machine."""
_UNWATCHED: dict[str, int | str] = {
    "grpc.keepalive_time_ms": 2**31 - 1,
    "grpc.http2.bdp_probe": 0,
}
"""Options of a channel without pings, whose timers go off without calls too, and after each keep
three of gRPC's threads awake for seconds: .6 ms of a core each second (2026-11)."""
LOST_SECONDS = 4.0
"""Seconds without a connection to any peer after which a new channel looks the name up again."""


def connect(
    target: str,
    *,
    peers: PeerCredentials = NO_CREDENTIALS,
    service_configs: Iterable[tuple[str, str]] = (),
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    patient: bool = False,
) -> grpc.aio.Channel:
    """Return a channel to every address that `target` resolves to. It connects on first use.

    `target` is `host:port`, a gRPC target with a scheme, or `local:NAME` for a service of the same
    process (`hosting`). `service_configs` lists the idempotent calls as (full service name,
    method): only these are retried, up to 3 attempts in all, and only after UNAVAILABLE or a peer's
    CANCELLED. Calls propagate the request id and trace context of the current call, and carry the
    credentials of `peers`. `patient`: no caller waits for this process, so a peer on this machine
    that hangs may be noticed at the deadlines of calls, and each call and stream needs one (a
    TypeError says so). Requires a running event loop.
    """
    host = hosting.running.get()
    if target.startswith(LOCAL) and host is not None:
        return _traced(host.channel(target), peers, patient=patient)
    if "://" not in target and not target.startswith(("unix:", "dns:", "ipv4:", "ipv6:")):
        target = f"dns:///{target}"
    near = _is_near(target)
    options = _options(service_config(service_configs), max_message_bytes, near=near)
    if near and patient:
        # Of an option given twice, gRPC takes the first.
        options = [*(dict(options) | _UNWATCHED).items()]

    def make(credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
        if credentials is None:
            return grpc.aio.insecure_channel(target, options=options)
        return grpc.aio.secure_channel(target, credentials, options=options)

    renewed = _Renewed(make, _plain if peers.tls is None else peers.tls.calling)
    return _traced(renewed, peers, patient=patient)


def borrowing(target: str) -> Callable[[], Loan[Any] | None] | None:
    """Return what returns the loan of the service of a target, which may start later; None unless
    that service may run in this process."""
    host = hosting.running.get()
    if not target.startswith(LOCAL) or host is None:
        return None
    return partial(host.borrowed, target.removeprefix(LOCAL))


def _traced(channel: Any, peers: PeerCredentials, *, patient: bool) -> grpc.aio.Channel:
    """Return the channel with calls that propagate request id, trace context and credentials."""
    for kind in _KINDS:
        setattr(channel, kind, _passing_on(getattr(channel, kind), peers, patient=patient))
    return cast(grpc.aio.Channel, channel)


def _plain() -> None:
    """Return the credentials of channels without TLS."""
    return None


def _passing_on(
    make: Callable[..., Callable[..., Any]], peers: PeerCredentials, *, patient: bool
) -> Callable[..., Callable[..., Any]]:
    """Wrap a channel's factory of calls: calls propagate request id and trace context."""

    def made(method: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
        call = make(method, *arguments, **options)
        return passing_on(_limited(call, method) if patient else call, peers.metadata, method)

    return made


def _limited(call: Callable[..., Any], method: str) -> Callable[..., Any]:
    """Wrap calls of a patient channel: a peer that hangs is noticed by their deadlines alone."""

    def limited(*arguments: Any, timeout: float | None = None, **options: Any) -> Any:
        if timeout is None:
            raise TypeError(f"{method} needs a timeout: its channel does not ping the peer")
        return call(*arguments, timeout=timeout, **options)

    return limited


class Lost:
    """Detector of channels that cannot connect to any peer for LOST_SECONDS.

    After failed look-ups of a name, such as that of a headless Service without ready pods, gRPC
    looks it up again only after up to two minutes, and no option shortens that. A new channel looks
    it up at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None

    def __call__(self, channel: grpc.aio.Channel) -> bool:
        """Return whether the channel should be replaced by a new one. Call it before each call."""
        if channel.get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            self._since = None
            return False
        now = self._clock()
        if self._since is None:
            self._since = now
        if now - self._since < LOST_SECONDS:
            return False
        self._since = None
        return True


class _Renewed:
    """A channel that is replaced when certificates change and when its peers are lost: new calls
    use the new channel; calls in progress end on the channel that they began on."""

    def __init__(
        self,
        make: Callable[[grpc.ChannelCredentials | None], grpc.aio.Channel],
        credentials: Callable[[], grpc.ChannelCredentials | None],
        lost: Callable[[grpc.aio.Channel], bool] | None = None,
    ) -> None:
        """`credentials`: returns the current ones, the same object until they change. `lost`:
        returns whether a channel is to be replaced."""
        self._make, self._credentials = make, credentials
        self._lost = lost or Lost()
        self._used = credentials()
        self._channel = make(self._used)
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close(None)

    async def close(self, grace: float | None) -> None:
        for ending in self._ending:
            ending.cancel()
        await self._channel.close(grace)

    def __getattr__(self, name: str) -> Any:
        return partial(self._calls, name) if name in _KINDS else getattr(self._channel, name)

    def _calls(self, kind: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
        """Return a method of the peer that uses the current channel."""
        channel: grpc.aio.Channel | None = None
        call: Callable[..., Any] | None = None

        def called(*given: Any, **more: Any) -> Any:
            nonlocal channel, call
            now = self._now()
            if call is None or channel is not now:
                channel, call = now, getattr(now, kind)(*arguments, **options)
            return call(*given, **more)

        return called

    def _now(self) -> grpc.aio.Channel:
        wanted = self._credentials()
        if wanted is not self._used or self._lost(self._channel):
            ending = asyncio.ensure_future(self._channel.close(LONGEST_SECONDS))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            self._used, self._channel = wanted, self._make(wanted)
        return self._channel


def idempotent(*modules: Any) -> tuple[tuple[str, str], ...]:
    """Return the idempotent methods (`idempotency_level`) of the services in generated modules
    (`…_pb2`), as (full service name, method)."""
    return tuple(
        (service.full_name, method.name)
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if is_idempotent(method)
    )


def is_idempotent(method: Any) -> bool:
    """Return whether a method, given by its descriptor, may be called again."""
    level: int = method.GetOptions().idempotency_level
    return level != MethodOptions.IDEMPOTENCY_UNKNOWN


def service_config(idempotent: Iterable[tuple[str, str]]) -> str:
    """Return a gRPC service config (JSON): round robin, and retries for the `idempotent` calls."""
    config: dict[str, object] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        # Limits retries to a peer that fails most calls. Half of the tokens are the calls that a
        # process works on at a time: all of them may wait for a replica that hangs.
        "retryThrottling": {"maxTokens": 400, "tokenRatio": 0.5},
    }
    names = [
        {"service": service, "method": method} for service, method in dict.fromkeys(idempotent)
    ]
    if names:
        config["methodConfig"] = [
            {
                "name": names,
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    # CANCELLED: calls that arrived while a peer began to stop.
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ]
    return json.dumps(config)


def _is_near(target: str) -> bool:
    """Return whether a target is one process on this machine, by its address."""
    return _NEAR.fullmatch(target) is not None


def _options(config: str, max_message_bytes: int, *, near: bool) -> list[tuple[str, int | str]]:
    return [
        ("grpc.service_config", config),
        ("grpc.enable_retries", 1),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        # Messages above 256 KiB, such as most photos, would not be retried.
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes),
        # By default gRPC waits up to two minutes before it tries a lost peer again.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # Despite its name, the time that one attempt to connect may take.
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.dns_min_time_between_resolutions_ms", 2000),
        # A replica that hangs keeps its connections. It is detected within 4.5 s, so that its calls
        # are retried elsewhere within half of the usual deadline of 10 s. Our servers accept a ping
        # every 2 s (server.LEAST_PING_MILLISECONDS) and answer it under any load.
        ("grpc.keepalive_time_ms", 2500),
        ("grpc.keepalive_timeout_ms", 2000),
        # This option takes precedence; its default is a minute (grpcio 1.85.1).
        ("grpc.http2.ping_timeout_ms", 2000),
        # A peer on this machine is pinged during calls alone: it has no other replica, the kernel
        # reports its end, and each ping keeps gRPC's threads of both processes awake for seconds.
        ("grpc.keepalive_permit_without_calls", int(not near)),
        ("grpc.http2.max_pings_without_data", 0),
        # Peers are in the same network: proxies in the environment are ignored.
        ("grpc.enable_http_proxy", 0),
        # Channels to one target share nothing, so closing one never breaks another.
        ("grpc.use_local_subchannel_pool", 1),
    ]
