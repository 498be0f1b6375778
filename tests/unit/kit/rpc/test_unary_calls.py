"""Unary calls without a task of their own, beside those of grpc.aio."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from servicekit.config import ServerSettings
from servicekit.rpc import server
from servicekit.rpc.server import RunningServer
from servicekit.rpc.unary_calls import unary
from tests.fakes.kit_echo import Echo, binding
from tests.waiting import SECONDS


class Repeating(Echo):
    """Echo service that adds what the caller's metadata say, or fails with a trailer."""

    async def unary(self, request: bytes, context: Any) -> bytes:
        if request == b"fail":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", (("why", "none"),))
        said = str(dict(context.invocation_metadata()).get("x-said", ""))
        return await self._answer(request) + said.encode()


@pytest.fixture
async def echo() -> Repeating:
    return Repeating()


@pytest.fixture
async def running(echo: Repeating) -> AsyncIterator[RunningServer]:
    started = await server.start([binding(echo)], ServerSettings(), "shop")
    yield started
    await started.stop()


@pytest.fixture(params=["ours", "grpc.aio"])
async def method(request: Any, running: RunningServer) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        theirs = channel.unary_unary("/test.Echo/Unary", bytes, bytes.decode)
        yield theirs if request.param == "grpc.aio" else unary(theirs)


async def test_metadata_arrives_and_answer_trailers_and_code_come_back(method: Any) -> None:
    call = method(b"x", metadata=(("x-said", "y"), ("x-request-id", "r-1")), timeout=SECONDS)
    assert await call == "xy"
    assert dict(await call.trailing_metadata())["x-request-id"] == "r-1"
    assert await call.code() is grpc.StatusCode.OK


async def test_an_error_has_code_text_and_trailers_of_the_peer(method: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"fail", timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no such thing"
    trailers: Any = caught.value.trailing_metadata()
    assert dict(trailers)["why"] == "none"


async def test_a_call_ends_with_its_deadline(method: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"wait", timeout=0.05)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("by", ["task", "call"])
async def test_a_cancelled_call_ends_at_the_peer_too(method: Any, echo: Repeating, by: str) -> None:
    call = method(b"wait", timeout=SECONDS)
    waiting = asyncio.ensure_future(call)
    await echo.started.wait()
    (call if by == "call" else waiting).cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await call.code() is grpc.StatusCode.CANCELLED
    await asyncio.wait_for(echo.cancelled.wait(), SECONDS)


async def test_a_peer_that_is_gone_is_unavailable(method: Any, running: RunningServer) -> None:
    await running.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"x", timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
