"""A server with limits, and calls that it rejects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from servicekit.admission.access import OPEN, AccessPolicy
from servicekit.config import ServerSettings
from servicekit.errors import ServiceError
from servicekit.rpc import server
from servicekit.rpc.server import Binding
from servicekit.status import from_rpc_error
from tests.fakes.kit_echo import Echo, binding
from tests.fakes.kit_ways import served
from tests.waiting import SECONDS

UNARY, STREAM = "/test.Echo/Unary", "/test.Echo/UnaryStream"
HEALTH = health_pb2.HealthCheckRequest()
KEY = "key" * 12
BOTH_WAYS = pytest.mark.usefixtures("way")


@asynccontextmanager
async def serving(
    *bindings: Binding,
    access: AccessPolicy = OPEN,
    settings: ServerSettings | None = None,
    **options: Any,
) -> AsyncIterator[str]:
    """Run a server with these settings. Yield its target."""
    starting = server.start(
        bindings or [binding(Echo())], settings or ServerSettings(**options), "limited", access
    )
    async with served("limited", starting) as target:
        yield target


async def refused(call: Any) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, SECONDS)
    return from_rpc_error(caught.value)


def refusals(reason: str) -> float:
    labels = {"service": "limited", "reason": reason}
    return REGISTRY.get_sample_value("sightline_refused_total", labels) or 0.0


async def is_alive(peer: grpc.aio.Channel) -> bool:
    answer = await health_pb2_grpc.HealthStub(peer).Check(HEALTH, timeout=SECONDS)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def unsent(peer: grpc.aio.Channel, path: str = UNARY) -> Any:
    """Return a call whose request never arrives."""
    return peer.stream_unary(path)()
