"""Whether a peer that hangs is asked again: a circuit breaker (Nygard, Release It!, 2007).

A call that runs out of time is no proof that its peer hangs: its caller may have given it 20 ms. So
such a call only raises suspicion, and health checks beside the calls decide, which peers answer
under any load. While none is answered, calls fail at once, and no request spends its time on a
peer that is stopped. A peer that is gone altogether needs no breaker: gRPC fails such calls at
once. (Breakers of libraries send a caller's request to find out, and count failures however little
time a call was given.)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2
from prometheus_client import Gauge

from servicekit import telemetry

PATIENCE = 1.0
"""Seconds that a peer may take to say that it is there."""
PAUSE = 0.5
"""Seconds between two attempts."""
REPLICAS = 3
"""Health checks at a time: calls go round the replicas, and one that hangs is not all of them."""

OPEN = Gauge(
    "sightline_peer_hangs",
    "1 while a peer answers no health check and is not called, else 0.",
    ("peer",),
    multiprocess_mode="livemax",
)
_log = telemetry.get_logger()

IsThere: TypeAlias = Callable[[float], Awaitable[bool]]
"""Whether a peer answers within so many seconds, whatever it answers."""


class CircuitBreaker:
    """Of the calls to one peer."""

    def __init__(
        self, is_there: IsThere, peer: str, *, patience: float = PATIENCE, pause: float = PAUSE
    ) -> None:
        """`peer`: its name in logs and metrics."""
        self._is_there = is_there
        self._peer, self._patience, self._pause = peer, patience, pause
        self._probing: asyncio.Task[None] | None = None
        self._answered = -pause
        self.hangs = False
        """Whether calls are of no use now."""
        OPEN.labels(peer).set(0)

    def suspect(self) -> None:
        """Find out, unless that is being done, or was just now."""
        if self._probing is None and time.monotonic() - self._answered >= self._pause:
            self._probing = asyncio.create_task(self._probe())

    def close(self) -> None:
        """Ask no more."""
        if self._probing is not None:
            self._probing.cancel()

    async def _probe(self) -> None:
        """Until it answers."""
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
        """Whether any replica does."""
        looks = (self._is_there(self._patience) for _ in range(REPLICAS))
        return any(await asyncio.gather(*looks))


def by_health(channel: grpc.aio.Channel) -> IsThere:
    """By a health check."""
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
