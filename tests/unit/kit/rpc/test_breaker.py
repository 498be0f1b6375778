"""Health checks decide whether a peer hangs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit.config import ServerSettings
from servicekit.rpc import channel, server
from servicekit.rpc.breaker import CircuitBreaker, by_health
from tests.fakes.kit_echo import Echo, binding
from tests.waiting import until


class Hanging(health_pb2_grpc.HealthServicer):
    """Server that answers no health check while it hangs."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.asked = 0

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:
        self.asked += 1
        await self.go_on.wait()
        return health_pb2.HealthCheckResponse()


@asynccontextmanager
async def peer(health: Hanging) -> AsyncIterator[grpc.aio.Channel]:
    running = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    async with channel.connect(f"127.0.0.1:{port}") as connected:
        yield connected
    await running.stop(None)


async def test_a_peer_that_answers_no_health_check_hangs_until_it_does() -> None:
    health = Hanging()
    async with peer(health) as connected:
        breaker = CircuitBreaker(by_health(connected), "peer", patience=0.05, pause=0.01)
        assert not breaker.hangs
        breaker.suspect()
        await until(lambda: breaker.hangs)
        health.go_on.set()
        await until(lambda: not breaker.hangs)


async def test_a_peer_that_answers_is_only_suspected() -> None:
    running = await server.start([binding(Echo())], ServerSettings(), "shop")
    async with channel.connect(f"127.0.0.1:{running.port}") as connected:
        breaker = CircuitBreaker(by_health(connected), "peer", patience=20.0, pause=60.0)
        breaker.suspect()
        await until(lambda: breaker._probing is None)
        assert not breaker.hangs
        breaker.suspect()  # just now it was there
        assert breaker._probing is None
    await running.stop()


async def test_a_peer_that_is_gone_does_not_hang() -> None:
    async with channel.connect("127.0.0.1:1") as connected:
        breaker = CircuitBreaker(by_health(connected), "peer", patience=20.0, pause=0.01)
        breaker.suspect()
        await until(lambda: breaker._probing is None)
        assert not breaker.hangs


@pytest.mark.parametrize("times", [1, 3])
async def test_it_is_asked_by_one_at_a_time(times: int) -> None:
    health = Hanging()
    async with peer(health) as connected:
        breaker = CircuitBreaker(by_health(connected), "peer", patience=60.0, pause=0.01)
        for _ in range(times):
            breaker.suspect()
        await until(lambda: health.asked == 3)
        await asyncio.sleep(0.05)
        assert health.asked == 3
        breaker.close()
        await until(lambda: breaker._probing is None)
