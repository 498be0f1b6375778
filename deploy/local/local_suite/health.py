"""Health probes of programs. Each takes at most about a second and never raises."""

import http.client
import socket
import urllib.request
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2

from local_suite.model import HOST

_SECONDS = 1.0
_OPTIONS = [("grpc.enable_http_proxy", 0)]

Probe = Callable[[], bool]


def grpc_serving(port: int, service: str = "") -> Probe:
    """Return a probe that asks grpc.health.v1 on `port` for `service`; "" is the process."""
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    serving = health_pb2.HealthCheckResponse(
        status=health_pb2.HealthCheckResponse.SERVING
    ).SerializeToString()
    return lambda: _call(port, "/grpc.health.v1.Health/Check", request) == serving


def triton_ready(port: int) -> Probe:
    """Return a probe that asks Triton whether every model is ready.

    ServerReady takes an empty message and answers `bool ready = 1`
    (https://github.com/kserve/open-inference-protocol), so it needs no generated code.
    """
    return lambda: _call(port, "/inference.GRPCInferenceService/ServerReady", b"") == b"\x08\x01"


def http_ok(port: int, path: str = "/metrics") -> Probe:
    """Return a probe that expects status 200 from `path`."""
    url = f"http://{HOST}:{port}{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def probe() -> bool:
        try:
            with opener.open(url, timeout=_SECONDS) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError, http.client.HTTPException):
            return False

    return probe


def _call(port: int, method: str, request: bytes) -> bytes | None:
    if not _listens(port):
        return None
    with grpc.insecure_channel(f"{HOST}:{port}", options=_OPTIONS) as channel:
        try:
            answer: bytes = channel.unary_unary(method, None, None)(request, timeout=_SECONDS)
        except grpc.RpcError:
            return None
        return answer


def _listens(port: int) -> bool:
    """Return whether a connection to `port` is accepted.

    A start asks each program ten times a second, and a channel of gRPC to a closed port takes 1.3
    ms of processor time (2026-11).
    """
    try:
        with socket.create_connection((HOST, port), _SECONDS):
            return True
    except OSError:
        return False
