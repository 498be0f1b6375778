"""Several services in one process."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit.config import ServerSettings
from servicekit.rpc import channel, hosting, server
from servicekit.rpc.hosting import Host
from tests.fakes.kit_echo import NAME, Echo, binding
from tests.waiting import SECONDS, until


async def served(name: str, order: list[str]) -> None:
    async def on_stop() -> None:
        order.append(name)

    await server.serve([binding(Echo())], ServerSettings(port=0), service=name, on_stop=on_stop)


def unary(peer: grpc.aio.Channel):
    return peer.unary_unary("/test.Echo/Unary", None, None)


async def answers(peer: grpc.aio.Channel) -> bool:
    try:
        return await unary(peer)(b"x", timeout=SECONDS) == b"x"
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False


async def healthy(peer: Any, name: str) -> bool:
    asked = health_pb2.HealthCheckRequest(service=name)
    try:
        found = await health_pb2_grpc.HealthStub(peer).Check(asked, timeout=SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(found.status == health_pb2.HealthCheckResponse.SERVING)


async def test_services_call_one_another_and_end_one_after_the_other() -> None:
    host, order, called = Host(), list[str](), asyncio.Event()

    async def first() -> None:
        peer = channel.connect("local:second")  # which may start later
        await until(lambda: answers(peer))
        assert not await healthy(peer, hosting.EVERY), "one of two serves"
        called.set()
        await served("first", order)
        assert await answers(peer), "it ends before those that it calls"

    running = asyncio.create_task(host.run({"first": first(), "second": served("second", order)}))
    await called.wait()
    peer = host.channel("local:first")
    await until(lambda: healthy(peer, hosting.EVERY))
    assert await healthy(peer, NAME)
    host.stop()
    await running
    assert order == ["first", "second"]
    assert hosting.running.get() is None
    assert hosting.services() == 1


async def test_a_service_that_fails_ends_the_others_and_is_reported() -> None:
    host, order = Host(), list[str]()

    async def failing() -> None:
        assert hosting.services() == 2
        await until(lambda: {"kept"} <= host._servers.keys())
        raise ValueError("its port is taken")

    with pytest.raises(ValueError, match="port is taken"):
        await host.run({"kept": served("kept", order), "failing": failing()})
    assert order == ["kept"]


async def test_a_call_in_progress_ends_with_its_service_before_the_service_closes_its_stores() -> (
    None
):
    host, echo, order = Host(), Echo(), list[str]()
    failed: list[grpc.aio.AioRpcError] = []

    async def ending() -> None:
        async def on_stop() -> None:
            order.append("cancelled" if echo.cancelled.is_set() else "still running")

        await server.serve(
            [binding(echo)], ServerSettings(port=0), service="ending", on_stop=on_stop
        )

    async def calling() -> None:
        peer = channel.connect("local:ending")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await unary(peer)(b"wait")
        failed.append(raised.value)
        await host.end_of("calling").wait()

    running = asyncio.create_task(host.run({"ending": ending(), "calling": calling()}))
    await echo.started.wait()
    host.stop()
    await until(lambda: order)
    assert order == ["cancelled"]
    await running
    assert [each.code() for each in failed] == [grpc.StatusCode.UNAVAILABLE]


async def test_a_service_that_does_not_run_is_unavailable() -> None:
    peer = Host().channel("local:none")
    assert not await answers(peer)  # type: ignore[arg-type]
    assert peer.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE


async def test_a_handler_that_blocks_no_one_is_cancelled_with_its_caller() -> None:
    host, begun, ended = Host(), asyncio.Event(), list[str]()

    class Waiting(Echo):
        async def unary(self, request: bytes, context: object) -> bytes:
            begun.set()
            try:
                await asyncio.sleep(SECONDS)
            finally:
                ended.append("cancelled")
            return request

    hosted = hosting.running.set(host)
    running = await server.start([binding(Waiting())], ServerSettings(port=0), "waiting")
    peer = channel.connect("local:waiting")
    hosting.running.reset(hosted)
    calling = asyncio.create_task(answers(peer))
    await begun.wait()
    calling.cancel()
    await asyncio.wait({calling})
    await until(lambda: ended == ["cancelled"])
    await running.stop()


async def test_a_reader_that_stops_ends_the_stream() -> None:
    host, sent = Host(), list[int]()

    class Endless(Echo):
        async def unary_stream(self, request: bytes, context: object) -> AsyncIterator[bytes]:
            while True:
                sent.append(1)
                yield request

    hosted = hosting.running.set(host)
    running = await server.start([binding(Endless())], ServerSettings(port=0), "endless")
    peer = channel.connect("local:endless")
    hosting.running.reset(hosted)
    call = peer.unary_stream("/test.Echo/UnaryStream", None, None)(b"x")
    assert await call.read() == b"x"
    await until(lambda: len(sent) >= 2)
    call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert len(sent) < 5, "answers wait for their reader"
    await running.stop()


async def test_what_one_side_changes_in_a_message_the_other_does_not_see() -> None:
    host, kept = Host(), list[Any]()

    class Changing:
        async def check(self, request: Any, context: object) -> Any:
            request.service += " changed"
            kept.append(health_pb2.HealthCheckResponse(status=1))
            return kept[0]

    def add(servicer: Changing, to: grpc.aio.Server) -> None:
        check = grpc.unary_unary_rpc_method_handler(
            servicer.check,
            health_pb2.HealthCheckRequest.FromString,
            health_pb2.HealthCheckResponse.SerializeToString,
        )
        named = grpc.method_handlers_generic_handler("test.Changing", {"Check": check})
        to.add_generic_rpc_handlers((named,))

    hosted = hosting.running.set(host)
    served = [server.Binding(add, Changing(), "test.Changing")]
    running = await server.start(served, ServerSettings(port=0), "changing")
    peer = channel.connect("local:changing")
    hosting.running.reset(hosted)
    asked = health_pb2.HealthCheckRequest(service="as sent")
    call = peer.unary_unary(
        "/test.Changing/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    answer = await call(asked, timeout=SECONDS)
    answer.status = 2
    assert asked.service == "as sent"
    assert kept[0].status == 1
    await running.stop()


def test_a_deadline_that_ends_before_the_handler_begins_is_an_error_of_its_own() -> None:
    """Run on uvloop, as services do: its timers run before what was started earlier."""

    async def code() -> grpc.StatusCode:
        host = Host()
        hosted = hosting.running.set(host)
        running = await server.start([binding(Echo())], ServerSettings(port=0), "echo")
        peer = channel.connect("local:echo")
        hosting.running.reset(hosted)
        call = unary(peer)(b"wait", timeout=0.001)
        time.sleep(0.02)  # noqa: ASYNC251  so the timer is due before the handler's turn
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        await running.stop()
        return failed.value.code()

    assert uvloop.run(code()) is grpc.StatusCode.DEADLINE_EXCEEDED
