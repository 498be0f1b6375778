import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from servicekit.config import ServerSettings
from servicekit.rpc import channel, server
from tests.engines import free_port
from tests.fakes.kit_echo import NAME, Echo, binding
from tests.waiting import SECONDS, until


@pytest.fixture
async def peer() -> AsyncIterator[grpc.aio.Channel]:
    running = await server.start([binding(Echo())], ServerSettings(), "shop")
    async with channel.connect(f"127.0.0.1:{running.port}") as connected:
        yield connected
    await running.stop()


@pytest.mark.parametrize("name", ["", NAME])
async def test_health_reports_the_process_and_each_service(
    peer: grpc.aio.Channel, name: str
) -> None:
    stub = health_pb2_grpc.HealthStub(peer)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_another_service_is_not_found(peer: grpc.aio.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(peer)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="test.Other"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_can_be_watched(peer: grpc.aio.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(peer)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=NAME))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


async def test_reflection_lists_every_service(peer: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(peer)
    call = stub.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    answers = [answer async for answer in call]
    names = {service.name for service in answers[0].list_services_response.service}
    assert names == {
        NAME,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_reflection_can_be_turned_off() -> None:
    running = await server.start([binding(Echo())], ServerSettings(reflection=False), "shop")
    try:
        async with channel.connect(f"127.0.0.1:{running.port}") as peer:
            # Called as unary: what a stream sends after the refusal fails as INTERNAL.
            call = peer.unary_unary(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"")
    finally:
        await running.stop()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_taken_port_is_refused_instead_of_shared() -> None:
    running = await server.start([binding(Echo())], ServerSettings(), "shop")
    try:
        with pytest.raises(OSError, match="taken"):
            await server.start([binding(Echo())], ServerSettings(port=running.port), "shop")
    finally:
        await running.stop()


async def test_metrics_are_served_while_the_server_runs() -> None:
    port = free_port()
    running = await server.start([binding(Echo())], ServerSettings(metrics_port=port), "measured")

    def scrape() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
            return bytes(answer.read())

    async with channel.connect(f"127.0.0.1:{running.port}") as peer:
        await peer.unary_unary("/test.Echo/Unary", None, None)(b"x")
    text = await asyncio.to_thread(scrape)
    await running.stop()
    assert b'sightline_rpc_seconds_count{code="OK",method="test.Echo/Unary"' in text
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(scrape)


@pytest.mark.full
@pytest.mark.slow
async def test_a_channel_that_pings_while_it_is_idle_stays_connected() -> None:
    running = await server.start([binding(Echo())], ServerSettings(), "shop")
    every = server.LEAST_PING_MILLISECONDS + 100
    options = [("grpc.keepalive_time_ms", every), ("grpc.keepalive_permit_without_calls", 1)]
    options.append(("grpc.http2.max_pings_without_data", 0))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}", options) as peer:
        await peer.channel_ready()
        changed = peer.wait_for_state_change(grpc.ChannelConnectivity.READY)
        with pytest.raises(TimeoutError):  # the fourth ping would be one too many
            await asyncio.wait_for(changed, 5 * every / 1_000)
    await running.stop()


# Connections


async def closed_by(port: int) -> asyncio.Task[bytes]:
    """Open a connection that sends nothing; the task ends when the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def read() -> bytes:
        try:
            return await reader.read()
        finally:
            writer.close()

    return asyncio.create_task(read())


async def test_a_connection_too_many_is_closed_and_those_before_it_go_on() -> None:
    running = await server.start([binding(Echo())], ServerSettings(max_connections=2), "shop")
    async with channel.connect(f"127.0.0.1:{running.port}") as peer:
        await peer.channel_ready()
        second = await closed_by(running.port)
        await asyncio.wait_for(await closed_by(running.port), SECONDS)
        assert not second.done()
        assert await peer.unary_unary("/test.Echo/Unary", None, None)(b"x") == b"x"
        second.cancel()
    await running.stop()


async def test_a_connection_that_never_speaks_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_MILLISECONDS", 100)
    running = await server.start([binding(Echo())], ServerSettings(), "shop")
    await asyncio.wait_for(await closed_by(running.port), SECONDS)
    await running.stop()


async def test_a_connection_without_calls_is_closed_and_made_anew_for_the_next_call() -> None:
    settings = ServerSettings(connection_idle_seconds=0.1)
    running = await server.start([binding(Echo())], settings, "shop")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        assert await call(b"x") == b"x"
        await until(lambda: peer.get_state() is not grpc.ChannelConnectivity.READY)
        assert await call(b"x", wait_for_ready=True, timeout=SECONDS) == b"x"
    await running.stop()


async def test_calls_above_those_of_a_connection_wait_at_their_caller() -> None:
    echo = Echo()
    settings = ServerSettings(max_calls_per_connection=2)
    running = await server.start([binding(echo)], settings, "shop")
    address = f"127.0.0.1:{running.port}"
    async with channel.connect(address) as peer, channel.connect(address) as other:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        held = [call(b"wait") for _ in range(2)]
        await asyncio.wait_for(echo.started.wait(), SECONDS)
        third = call(b"x")
        for _ in range(20):
            await other.unary_unary("/test.Echo/Unary", None, None)(b"x")
        assert not third.done()
        held[0].cancel()
        assert await asyncio.wait_for(third, SECONDS) == b"x"
    await running.stop()


@pytest.mark.parametrize(("files", "connections"), [(1_024, 512), (2**20, 4_000), (-1, 4_000)])
def test_connections_leave_half_of_the_files_to_stores_and_peers(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (files, files))
    assert server._connections() == connections


class Served:
    """`serve` in a task of this process, with a client."""

    def __init__(self, drain_seconds: float) -> None:
        self.echo = Echo()
        self.settings = ServerSettings(port=free_port(), drain_seconds=drain_seconds)
        self.stopped = asyncio.Event()
        self.task = asyncio.create_task(self._serve())
        self.peer = channel.connect(f"127.0.0.1:{self.settings.port}")
        self.call = self.peer.unary_unary("/test.Echo/Unary", None, None)

    async def _serve(self) -> None:
        async def on_stop() -> None:
            self.stopped.set()

        await server.serve([binding(self.echo)], self.settings, service="shop", on_stop=on_stop)

    async def one_call_in_progress(self) -> "grpc.aio.UnaryUnaryCall[bytes, bytes]":
        pending = self.call(b"wait", timeout=SECONDS, wait_for_ready=True)
        await asyncio.wait_for(self.echo.started.wait(), SECONDS)
        return pending


async def test_after_sigterm_a_call_in_progress_is_answered_and_new_ones_are_refused() -> None:
    served = Served(drain_seconds=20)
    pending = await served.one_call_in_progress()
    ready = health_pb2_grpc.HealthStub(served.peer)
    watch = ready.Watch(health_pb2.HealthCheckRequest(service=NAME))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    os.kill(os.getpid(), signal.SIGTERM)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()  # it would be drained like a call

    async def refused() -> bool:
        async with channel.connect(f"127.0.0.1:{served.settings.port}") as probe:  # as a kubelet
            try:
                await health_pb2_grpc.HealthStub(probe).Check(health_pb2.HealthCheckRequest())
            except grpc.aio.AioRpcError:
                return True
        return False

    await until(refused)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.call(b"new", timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not served.stopped.is_set()
    served.echo.go_on.set()
    assert await pending == b"wait"
    await asyncio.wait_for(served.task, SECONDS)
    assert served.stopped.is_set()
    await served.peer.close(None)


@pytest.mark.parametrize(("drain", "signals"), [(0.2, 1), (60.0, 2)])
async def test_a_call_that_does_not_end_is_cancelled_after_the_drain_or_a_second_signal(
    drain: float, signals: int
) -> None:
    served = Served(drain_seconds=drain)
    pending = await served.one_call_in_progress()
    for _ in range(signals):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.1)
    with pytest.raises(grpc.aio.AioRpcError):
        await pending
    await asyncio.wait_for(served.task, SECONDS)
    assert served.echo.cancelled.is_set()
    assert served.stopped.is_set()
    await served.peer.close(None)


def test_a_service_runs_on_uvloop() -> None:
    async def which() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert server.run(which()).startswith("uvloop")


BATCHES = """
import asyncio, resource
from servicekit.rpc import server

async def main():
    for _ in range(20):
        batches = [bytearray(b"x") * 600_000 for _ in range(8)]
        del batches
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

runs = {"kept": server.run, "given back": asyncio.run}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(runs[MODE](main()) - before)
"""


@pytest.mark.full
@pytest.mark.slow
def test_memory_that_is_freed_is_kept_for_the_next_batch() -> None:
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", f"MODE = {mode!r}\n" + BATCHES]))
        for mode in ("kept", "given back")
    )
    assert kept < given_back / 3


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1:8600"), ("::1", "[::1]:8600"), ("::", "[::]:8600")],
)
def test_an_ipv6_host_is_not_taken_for_another_one(host: str, address: str) -> None:
    assert server.listen_address(host, 8600) == address
