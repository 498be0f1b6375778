import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from servicekit.config import ServerSettings
from servicekit.rpc import channel, server
from servicekit.rpc.server import RunningServer
from tests.fakes.kit_echo import Echo, binding
from tests.fakes.names import names
from tests.fakes.still_peer import still_peer
from tests.waiting import SECONDS


async def echo_on(port: int, servicer: Echo | None = None, **settings: Any) -> RunningServer:
    return await server.start(
        [binding(servicer or Echo())], ServerSettings(port=port, **settings), "shop"
    )


@pytest.fixture
async def running() -> AsyncIterator[RunningServer]:
    started = await echo_on(0)
    yield started
    await started.stop()


def test_only_the_listed_calls_are_tried_again_and_only_where_a_peer_is_gone() -> None:
    config = json.loads(channel.service_config([("a.B", "Get"), ("a.B", "List")]))
    (method,) = config["methodConfig"]
    assert method["name"] == [
        {"service": "a.B", "method": "Get"},
        {"service": "a.B", "method": "List"},
    ]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]
    assert method["retryPolicy"]["maxAttempts"] == 3
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]


def test_without_idempotent_calls_nothing_is_tried_again() -> None:
    assert "methodConfig" not in json.loads(channel.service_config([]))


class Flaky(Echo):
    """Echo service that fails a number of times, then answers."""

    def __init__(self, failures: int, code: grpc.StatusCode) -> None:
        super().__init__()
        self.failures, self.code = failures, code
        self.calls = 0

    async def unary(self, request: bytes, context: Any) -> bytes:
        self.calls += 1
        if self.calls <= self.failures:
            await context.abort(self.code, "not now")
        return request


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
@pytest.mark.parametrize(
    ("idempotent", "failures", "calls"), [(True, 2, 3), (True, 9, 3), (False, 1, 1)]
)
async def test_a_call_is_made_at_most_three_times_and_once_unless_idempotent(
    idempotent: bool, failures: int, calls: int, code: grpc.StatusCode
) -> None:
    flaky = Flaky(failures, code)
    started = await echo_on(0, flaky)
    listed = [("test.Echo", "Unary")] if idempotent else []
    async with channel.connect(f"127.0.0.1:{started.port}", service_configs=listed) as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)(b"x", timeout=SECONDS)
        if failures < calls:
            assert await call == b"x"
        else:
            with pytest.raises(grpc.aio.AioRpcError):
                await call
    await started.stop()
    assert flaky.calls == calls


async def test_a_call_with_a_photo_is_made_again_too() -> None:
    photo = bytes(900 * 1024)  # gRPC keeps 256 KiB of a call unless it is asked to
    flaky = Flaky(2, grpc.StatusCode.UNAVAILABLE)
    started = await echo_on(0, flaky)
    listed = [("test.Echo", "Unary")]
    async with channel.connect(f"127.0.0.1:{started.port}", service_configs=listed) as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        assert await call(photo, timeout=SECONDS) == photo
    await started.stop()
    assert flaky.calls == 3


@pytest.mark.full
async def test_a_peer_that_fails_most_calls_is_not_asked_three_times_as_often() -> None:
    flaky = Flaky(10**6, grpc.StatusCode.UNAVAILABLE)
    started = await echo_on(0, flaky)
    listed = [("test.Echo", "Unary")]
    async with channel.connect(f"127.0.0.1:{started.port}", service_configs=listed) as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)

        async def fails() -> None:
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"x", timeout=SECONDS)

        await fails()
        assert flaky.calls == 3
        await asyncio.gather(*(fails() for _ in range(100)))
        before = flaky.calls
        for _ in range(10):
            await fails()
        assert flaky.calls == before + 10
    await started.stop()


@pytest.mark.slow
async def test_a_restarted_peer_is_found_however_long_it_was_away() -> None:
    running = await echo_on(0)
    async with channel.connect(f"127.0.0.1:{running.port}") as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        assert await call(b"one") == b"one"
        await running.stop()
        for _ in range(20):
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"lost")
            await asyncio.sleep(0.01)
        running = await echo_on(running.port)
        assert await call(b"two", wait_for_ready=True, timeout=SECONDS) == b"two"
        await running.stop()


def test_a_lost_peer_is_looked_for_every_two_seconds_at_least() -> None:
    """Check the reconnection: gRPC's own pause between two attempts grows to two minutes."""
    options = dict(channel._options("", 1, near=False))
    assert int(options["grpc.max_reconnect_backoff_ms"]) <= 2_000


@pytest.mark.slow
async def test_calls_to_a_replica_that_stands_still_are_made_again_at_another_one(
    running: RunningServer,
) -> None:
    async with still_peer() as still:
        target = f"ipv4:127.0.0.1:{still.port},127.0.0.1:{running.port}"
        listed = [("test.Echo", "Unary")]
        async with channel.connect(target, service_configs=listed) as peer:
            call = peer.unary_unary("/test.Echo/Unary", None, None)
            assert await call(b"first", timeout=SECONDS) == b"first"
            await asyncio.wait_for(still.greeted.wait(), SECONDS)
            calls = (call(b"%d" % number, timeout=SECONDS) for number in range(20))
            assert await asyncio.gather(*calls) == [b"%d" % number for number in range(20)]
            await asyncio.wait_for(still.left.wait(), SECONDS)


def test_a_replica_that_stands_still_is_found_in_half_of_a_callers_ten_seconds() -> None:
    """Check also that pings are not so frequent that a server closes the connection."""
    options = dict(channel._options("", 1, near=False))
    every, wait = options["grpc.keepalive_time_ms"], options["grpc.http2.ping_timeout_ms"]
    assert int(every) > server.LEAST_PING_MILLISECONDS
    assert int(every) + int(wait) < 5_000


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("dns:///127.0.0.1:9000", True),
        ("dns:///localhost:9000", True),
        ("unix:/run/retriever.sock", True),
        ("dns:///retriever:9000", False),
        ("dns:///127.0.0.1.example:9000", False),
        ("ipv4:127.0.0.1:9000,127.0.0.1:9001", False),
    ],
)
def test_only_a_single_peer_on_this_machine_is_not_pinged_between_calls(
    target: str, near: bool
) -> None:
    options = dict(channel._options("", 1, near=channel._is_near(target)))
    assert options["grpc.keepalive_permit_without_calls"] == int(not near)


@pytest.mark.parametrize(
    ("target", "patient", "pinged"),
    [("127.0.0.1:9", True, False), ("127.0.0.1:9", False, True), ("retriever:9", True, True)],
)
async def test_a_worker_does_not_ping_a_peer_on_its_machine(
    target: str, patient: bool, pinged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = grpc.aio.insecure_channel
    given = list[dict[str, Any]]()

    def noted(address: str, options: Any) -> grpc.aio.Channel:
        given.append(dict(reversed(options)))  # of an option given twice, gRPC takes the first
        return made(address, options=options)

    monkeypatch.setattr(grpc.aio, "insecure_channel", noted)
    await channel.connect(target, patient=patient).close(None)
    assert (given[0]["grpc.keepalive_time_ms"] == 2_500) is pinged
    assert ("grpc.http2.bdp_probe" not in given[0]) is pinged


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream", "stream_unary", "stream_stream"])
async def test_calls_and_streams_over_a_channel_without_pings_have_deadlines(kind: str) -> None:
    async with channel.connect("127.0.0.1:9", patient=True) as peer:
        call = getattr(peer, kind)("/test.Echo/Any", None, None)
        with pytest.raises(TypeError, match="Any needs a timeout"):
            call(b"")
        call(b"" if kind.startswith("unary") else iter([b""]), timeout=1.0).cancel()


async def test_answers_of_thirty_mebibytes_pass_and_larger_ones_do_not() -> None:
    """Check answers only; test_limits.py checks the limit of each call's requests."""
    sizes = iter([30, 33])

    async def large() -> bytes:
        return bytes(next(sizes) * 1024 * 1024)

    running = await echo_on(0, Echo(peek=large), max_message_bytes=64 * 1024 * 1024)
    async with channel.connect(f"127.0.0.1:{running.port}") as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        assert len(await call(b"peek")) == 30 * 1024 * 1024
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"peek")
    await running.stop()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_proxy_from_the_environment_is_not_used(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    async with channel.connect(f"127.0.0.1:{running.port}") as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        assert await call(b"near", timeout=SECONDS) == b"near"


@pytest.mark.parametrize("scheme", ["", "dns:///", "ipv4:"])
async def test_a_target_may_name_its_scheme(running: RunningServer, scheme: str) -> None:
    async with channel.connect(f"{scheme}127.0.0.1:{running.port}") as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        assert await call(b"here", timeout=SECONDS) == b"here"


@pytest.mark.slow
async def test_a_peer_whose_name_was_missing_is_found_as_soon_as_it_exists(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with names() as found:
        async with channel.connect(found.target(running.port)) as peer:
            call = peer.unary_unary("/test.Echo/Unary", None, None)

            for _ in range(100):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(b"", timeout=1)
                await asyncio.sleep(0.05)
                if found.asked >= 3:  # gRPC itself looks up next after two seconds and more
                    break
            found.exists = True
            monkeypatch.setattr(channel, "LOST_SECONDS", 0.0, raising=False)
            assert await call(b"here", timeout=SECONDS) == b"here"


def test_a_channel_that_cannot_connect_is_replaced_after_a_while_and_not_at_once() -> None:
    now = 0.0
    lost = channel.Lost(lambda: now)
    failing, well = (
        SimpleNamespace(get_state=lambda state=state: state)
        for state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.READY)
    )
    assert not lost(cast(Any, failing))
    now = channel.LOST_SECONDS - 0.1
    assert not lost(cast(Any, failing))
    assert not lost(cast(Any, well))
    now = channel.LOST_SECONDS + 0.1
    assert not lost(cast(Any, failing)), "it was connected meanwhile"
    now = 2 * channel.LOST_SECONDS + 0.2
    assert lost(cast(Any, failing))
    assert not lost(cast(Any, failing)), "the next one has its own time"
