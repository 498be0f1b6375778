"""Channel to the gateway: message cap, retries, keepalive."""

import importlib
import json
import pkgutil

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions

from sightline.common.v1 import job_service_pb2
from sightline.gateway import v1

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Maximum bytes of a message, in both directions."""

_MODULES = (
    job_service_pb2,
    *(
        importlib.import_module(f"{v1.__name__}.{each.name}")
        for each in pkgutil.iter_modules(v1.__path__)
        if each.name.endswith("_service_pb2")
    ),
)
"""All public services."""

RETRY_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}
"""CANCELLED calls arrived while a gateway was shutting down. gRPC makes at most five attempts of a
call. A broken connection fails all its calls, so attempts of different calls are not independent:
with four of them 1 to 3 of 720 failed where every twentieth call's connection was cut.
"""


def connect(
    target: str, *, retries: bool, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    """Return a channel to the gateway; nothing is sent before the first call. ``credentials`` None
    = plain text. Without ``retries``, failed calls are not retried."""
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options(retries=retries))
    return grpc.aio.secure_channel(target, credentials, options=options(retries=retries))


def options(*, retries: bool) -> list[tuple[str, int | str]]:
    """Return the channel's arguments."""
    return [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # A hung gateway keeps its connections open: while calls wait for it, it is detected
        # within 6 s, and they are retried at another one within their deadline of 10 s.
        ("grpc.keepalive_time_ms", 4_000),
        ("grpc.keepalive_timeout_ms", 2_000),
        # This option is the effective one; its default is a minute (grpcio 1.85.1).
        ("grpc.http2.ping_timeout_ms", 2_000),
        # By default gRPC waits up to two minutes before it reconnects to a lost gateway.
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # By default gRPC looks a name up at most every 30 s: a gateway that was replaced by one at
        # another address was not found for 24 s.
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
        ("grpc.service_config", json.dumps(service_config(retries=retries))),
        # Without a retry policy, gRPC retries only calls that no gateway has started, such as those
        # sent on a connection that reached its maximum age: 51 of 68,000 failed without this.
        ("grpc.enable_retries", 1),
        # By default messages over 256 KiB, as most photos are, are not retried.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        # Clients of one process do not share connections: otherwise a new client would fail at once
        # while an older one is in its backoff before it reconnects to a lost gateway.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def service_config(*, retries: bool) -> dict[str, object]:
    """Return gRPC's service config: load balancing, and retries of methods that protos mark as
    idempotent, also of a product with an etag: a repeated write finds the product as wanted."""
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if not retries:
        return config
    names = [
        {"service": service.full_name, "method": method.name}
        for module in _MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    ]
    config["methodConfig"] = [{"name": names, "retryPolicy": RETRY_POLICY}]
    # The retry budget keeps five attempts of each call from overloading a suite that is down. Half
    # of the tokens equals a gateway's limit of concurrent calls: all may wait for one that hangs.
    config["retryThrottling"] = {"maxTokens": 400, "tokenRatio": 0.1}
    return config
