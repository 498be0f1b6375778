"""Circuit breaker for calls to a peer that hangs (Nygard, Release It!, 2007).

A call that runs out of time is no proof that its peer hangs: its caller may have given it 20 ms.
Such a call only triggers health checks beside the calls, which peers answer under any load. While
none is answered, calls fail at once, and no request waits for a stopped peer. A peer whose
connection is lost needs no breaker: gRPC fails such calls at once. (Breakers of libraries probe
with a caller's request, and count failures regardless of the call's deadline.)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2
from prometheus_client import Gauge

from servicekit import telemetry

PATIENCE = 1.0
"""Seconds that a health check may take."""
PAUSE = 0.5
"""Seconds between two health checks."""
REPLICAS = 3
"""Health checks at a time: calls are balanced over replicas, of which one may hang alone."""

OPEN = Gauge(
    "sightline_peer_hangs",
    "1 while a peer answers no health check, so that calls to it fail at once; else 0.",
    ("peer",),
    multiprocess_mode="livemax",
)
_log = telemetry.get_logger()

IsThere: TypeAlias = Callable[[float], Awaitable[bool]]
"""Return whether a peer answers within some seconds, with any status."""


class CircuitBreaker:
    """Circuit breaker of the calls to one peer."""

    def __init__(
        self, is_there: IsThere, peer: str, *, patience: float = PATIENCE, pause: float = PAUSE
    ) -> None:
        """`peer`: its name in logs and metrics."""
        self._is_there = is_there
        self._peer, self._patience, self._pause = peer, patience, pause
        self._probing: asyncio.Task[None] | None = None
        self._answered = -pause
        self.hangs = False
        """True if calls fail at once because the peer hangs."""
        OPEN.labels(peer).set(0)

    def suspect(self) -> None:
        """Start health checks, unless they run already or one was answered just now."""
        if self._probing is None and time.monotonic() - self._answered >= self._pause:
            self._probing = asyncio.create_task(self._probe(), context=Context())

    def close(self) -> None:
        """Stop the health checks."""
        if self._probing is not None:
            self._probing.cancel()

    async def _probe(self) -> None:
        """Repeat the health check until a replica answers."""
        begun = time.monotonic()
        try:
            while not await self._answers():
                if not self.hangs:
                    _log.warning("a peer hangs", peer=self._peer)
                self._is(hanging=True)
                await asyncio.sleep(self._pause)
            if self.hangs:
                seconds = round(time.monotonic() - begun, 2)
                _log.info("a peer answers again", peer=self._peer, seconds=seconds)
        finally:
            self._answered = time.monotonic()
            self._probing = None
            self._is(hanging=False)

    def _is(self, *, hanging: bool) -> None:
        if hanging != self.hangs:
            self.hangs = hanging
            OPEN.labels(self._peer).set(hanging)

    async def _answers(self) -> bool:
        """Return whether any replica answers."""
        looks = (self._is_there(self._patience) for _ in range(REPLICAS))
        return any(await asyncio.gather(*looks))


def by_health(channel: grpc.aio.Channel) -> IsThere:
    """Return a probe that makes a gRPC health check."""
    check: Any = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )

    async def is_there(seconds: float) -> bool:
        try:
            await check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        return True

    return is_there
