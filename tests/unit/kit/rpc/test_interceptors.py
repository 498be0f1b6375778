import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from servicekit import deadlines, telemetry
from servicekit.admission import access
from servicekit.config import ServerSettings
from servicekit.errors import Internal, InvalidArgument, Unimplemented
from servicekit.rpc import channel, interceptors, server
from servicekit.rpc.peers import PeerCredentials
from servicekit.status import from_rpc_error
from tests.fakes.kit_echo import PERSONAL, Echo, OneKey, binding
from tests.fakes.kit_logs import json_logs
from tests.fakes.kit_ways import IN_PROCESS, served
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.usefixtures("way")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def echo(
    servicer: Echo | None = None,
    service: str = "shop",
    admitting: access.AccessPolicy = access.OPEN,
) -> AsyncIterator[grpc.aio.Channel]:
    offered = [binding(servicer or Echo())]
    starting = server.start(offered, ServerSettings(), service, admitting)
    async with served(service, starting) as target, channel.connect(target) as peer:
        yield peer


async def requests(*values: bytes) -> AsyncIterator[bytes]:
    for value in values:
        yield value


async def collect(call: Any) -> list[bytes]:
    return [answer async for answer in call]


def unary(peer: grpc.aio.Channel) -> Any:
    return peer.unary_unary("/test.Echo/Unary", None, None)


async def send(peer: grpc.aio.Channel, kind: str, request: bytes) -> Any:
    path = f"/test.Echo/{kind}"
    match kind:
        case "Unary":
            return await peer.unary_unary(path, None, None)(request, timeout=SECONDS)
        case "UnaryStream" | "Writer":
            return await collect(peer.unary_stream(path, None, None)(request, timeout=20))
        case "StreamUnary":
            call = peer.stream_unary(path, None, None)
            return await call(requests(b"one", request), timeout=SECONDS)
        case _:
            stream = peer.stream_stream(path, None, None)
            return await collect(stream(requests(b"one", request), timeout=SECONDS))


KINDS = ("Unary", "UnaryStream", "Writer", "StreamUnary", "StreamStream")


async def test_every_kind_of_call_goes_through() -> None:
    async with echo() as peer:
        got = {kind: await send(peer, kind, b"two") for kind in KINDS}
    assert got == {
        "Unary": b"two",
        "UnaryStream": [b"first", b"two"],
        "Writer": [b"first", b"two"],
        "StreamUnary": b"one,two",
        "StreamStream": [b"one", b"two"],
    }


class EndedCall:
    """Context of a call that ended before its status was sent."""

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def time_remaining(self) -> None:
        return None

    def set_trailing_metadata(self, _: object) -> None:
        pass

    async def abort(self, *_: object) -> None:
        raise grpc.aio.InternalError("execute_batch")


async def test_an_error_of_a_call_that_ended_meanwhile_is_no_fault_of_the_service() -> None:
    method = interceptors._Method("shop", "test.Echo/Unary", access.OPEN, None)
    observed = interceptors._Observed(method, EndedCall())
    with pytest.raises(asyncio.CancelledError):  # which grpc.aio logs at debug only
        await observed.fail(InvalidArgument("unknown colour", reason="COLOUR_UNKNOWN"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_typed_error_arrives_with_its_details(kind: str) -> None:
    async with echo() as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(peer, kind, b"bad")
    error = from_rpc_error(caught.value)
    assert type(error) is InvalidArgument
    assert error.reason == "COLOUR_UNKNOWN"
    assert [violation.field for violation in error.violations] == ["item.colour"]
    assert caught.value.details() == "the colour is unknown"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_that_cannot_be_read_is_refused_as_such(kind: str) -> None:
    async with echo() as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(peer, kind, b"garbled")
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidArgument)
    assert error.reason == "REQUEST_MALFORMED"
    assert PERSONAL not in error.message


@pytest.mark.parametrize("kind", KINDS)
async def test_the_text_of_an_unexpected_error_reaches_neither_caller_nor_log(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logged = ""

    def written() -> bool:
        nonlocal logged
        logged += capsys.readouterr().err
        return '"code": "INTERNAL"' in logged

    with json_logs():
        async with echo() as peer:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await send(peer, kind, b"boom")
        await until(written)
    error = from_rpc_error(caught.value)
    assert (type(error), error.reason) == (Internal, "INTERNAL")
    received = repr((caught.value.details(), caught.value.trailing_metadata(), error))
    assert "Cachée" not in received
    assert "4711" not in received
    assert "builtins.ValueError" in logged
    assert PERSONAL not in logged


@pytest.mark.first(2)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancellation_from_within_does_not_leave_the_caller_waiting(kind: str) -> None:
    async with echo() as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(send(peer, kind, b"stray"), SECONDS)
    assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_a_call_that_is_not_implemented_says_so() -> None:
    async with echo() as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(peer, "Unary", b"todo")
        assert type(from_rpc_error(caught.value)) is Unimplemented
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await peer.unary_unary("/test.Echo/NoSuchCall", None, None)(b"")
        assert type(from_rpc_error(caught.value)) is Unimplemented


async def test_a_handlers_own_abort_passes_unchanged() -> None:
    async with echo() as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(peer, "Unary", b"abort")
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS
    assert caught.value.details() == "by hand"


async def test_the_request_id_comes_back_on_success_and_on_failure() -> None:
    async with echo() as peer:
        call = unary(peer)(b"hello", metadata=(("x-request-id", "r-17"),))
        await call
        received = dict(await call.trailing_metadata())
        assert received["x-request-id"] == "r-17"
        assert received[interceptors.VERSION_KEY] == version("sightline-kit")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(peer)(b"bad", metadata=(("x-request-id", "r-18"),))
        assert trailers(caught.value)["x-request-id"] == "r-18"


async def test_who_is_not_admitted_does_not_learn_the_version() -> None:
    async with echo(admitting=PeerCredentials(dict).access()) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(peer)(b"hello")
        health = health_pb2_grpc.HealthStub(peer).Check(health_pb2.HealthCheckRequest())
        await health
        for received in (trailers(caught.value), dict(await health.trailing_metadata())):
            assert received["x-request-id"]
            assert interceptors.VERSION_KEY not in received
    async with echo() as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(peer)(b"bad")
        assert trailers(caught.value)[interceptors.VERSION_KEY] == version("sightline-kit")


async def test_the_id_that_a_message_brings_comes_back_too() -> None:
    async def take() -> bytes:
        telemetry.request_id.set("from the message")
        return b""

    async with echo(Echo(peek=take)) as peer:
        call = unary(peer)(b"peek", metadata=(("x-request-id", "r-19"),))
        await call
        assert dict(await call.trailing_metadata())["x-request-id"] == "from the message"


async def test_a_missing_or_hostile_request_id_is_replaced() -> None:
    async with echo() as peer:
        for value in (None, "", "a b", "y" * 129):
            metadata = () if value is None else (("x-request-id", value),)
            call = unary(peer)(b"hello", metadata=metadata)
            await call
            assert len(dict(await call.trailing_metadata())["x-request-id"]) == 32


async def test_logs_quote_no_request_id_of_a_caller_that_was_not_admitted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = "k" * 32
    peers = OneKey(key)
    with json_logs():
        async with echo(admitting=peers) as peer:
            for token in ("guess", key):
                pairs = (("x-request-id", "r-1"), ("authorization", f"Bearer {token}"))
                try:
                    await unary(peer)(b"hello", metadata=pairs)
                except grpc.aio.AioRpcError as error:
                    refused = trailers(error)["x-request-id"]
    unknown, ours = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (unknown["code"], unknown["request_id"]) == ("UNAUTHENTICATED", refused)
    assert len(refused) == 32
    assert (ours["code"], ours["request_id"]) == ("OK", "r-1")


async def test_the_handler_sees_the_callers_deadline() -> None:
    async with echo() as peer:
        left = float(await unary(peer)(b"time", timeout=5.0))
        assert 0 < left < 5.5
        assert await unary(peer)(b"time") == b"None"


async def test_a_handler_is_cancelled_when_the_time_is_up() -> None:
    servicer = Echo()
    async with echo(servicer) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(peer)(b"wait", timeout=2.0)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(servicer.cancelled.wait(), SECONDS)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hop_passes_on_request_id_and_trace(kind: str) -> None:
    """Call front → back, and check that the back server gets what the front server's caller
    sent."""

    async def seen() -> bytes:
        carried = interceptors.outgoing_metadata()
        return f"{telemetry.request_id.get()} {carried.get('traceparent')}".encode()

    async with echo(Echo(peek=seen), "back") as back:

        async def ask() -> bytes:
            got = await send(back, kind, b"peek")
            return bytes(got[-1] if isinstance(got, list) else got)

        async with echo(Echo(peek=ask), "front") as front:
            metadata = (("x-request-id", "r-19"), ("traceparent", TRACE))
            got = await unary(front)(b"peek", metadata=metadata)
    assert got.removeprefix(b"one,") == f"r-19 {TRACE}".encode()


async def test_metadata_that_a_client_gives_itself_is_kept() -> None:
    token = telemetry.request_id.set("from-context")
    try:
        async with echo() as peer:
            call = unary(peer)(b"x", metadata=(("x-request-id", "explicit"),))
            await call
            assert dict(await call.trailing_metadata())["x-request-id"] == "explicit"
    finally:
        telemetry.request_id.reset(token)


async def test_every_call_leaves_one_line_under_its_own_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with json_logs():
        async with echo() as peer:
            for name in ("r-1", "r-2"):
                await unary(peer)(b"x", metadata=(("x-request-id", name),))
            with pytest.raises(grpc.aio.AioRpcError):
                await unary(peer)(b"bad", metadata=(("x-request-id", "r-3"),))
            health = peer.unary_unary("/grpc.health.v1.Health/Check", None, None)
            await health(b"")
    received = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["request_id"], line["code"], line.get("reason")) for line in received] == [
        ("r-1", "OK", None),
        ("r-2", "OK", None),
        ("r-3", "INVALID_ARGUMENT", "COLOUR_UNKNOWN"),
    ]
    for line in received:
        assert line["event"] == "call"
        assert line["service"] == "shop"
        assert line["method"] == "test.Echo/Unary"
        assert line["ms"] > 0


async def test_a_poll_leaves_a_line_only_if_it_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interceptors, "_POLLS", {"test.Echo/Unary"})
    with json_logs():
        async with echo() as peer:
            await unary(peer)(b"x")
            with pytest.raises(grpc.aio.AioRpcError):
                await unary(peer)(b"bad")
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["code"], line["level"]) == ("INVALID_ARGUMENT", "info")


async def test_a_handler_is_wrapped_once_and_not_for_each_call() -> None:
    asked: list[str] = []

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            asked.append(handler_call_details.method)
            if not handler_call_details.method.startswith("/test.Echo/"):
                return None
            return grpc.unary_unary_rpc_method_handler(Echo().unary)

    def add(_servicer: object, at: grpc.aio.Server) -> None:
        at.add_generic_rpc_handlers((Handlers(),))

    offered = server.Binding(add, None, "test.Echo")
    running = await server.start([offered], ServerSettings(), "shop")
    async with channel.connect(f"127.0.0.1:{running.port}") as peer:
        assert [await unary(peer)(b"x") for _ in range(3)] == [b"x"] * 3
        with pytest.raises(grpc.aio.AioRpcError):
            await peer.unary_unary("/test.Other/Unary", None, None)(b"x")
    await running.stop()
    assert asked.count("/test.Echo/Unary") == 1
    assert asked.count("/test.Other/Unary") == 1


async def test_generated_code_that_also_registers_its_methods_serves_them_once(way: str) -> None:
    def add(servicer: Echo, at: Any) -> None:
        handler = grpc.unary_unary_rpc_method_handler(servicer.unary)
        at.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Echo", {"Unary": handler}),)
        )
        at.add_registered_method_handlers("test.Echo", {"Unary": handler})

    running = await server.start([server.Binding(add, Echo(), "test.Echo")], ServerSettings(), way)
    async with channel.connect(f"127.0.0.1:{running.port}") as peer:
        call = unary(peer)(b"x", metadata=(("x-request-id", "r-1"),))
        assert await call == b"x"
        assert dict(await call.trailing_metadata())["x-request-id"] == "r-1"
    await running.stop()
    assert count(way, "test.Echo/Unary", "OK") == 1


@pytest.mark.parametrize("ends", ["rejected", "late"])
async def test_what_a_call_that_failed_held_is_let_go_without_the_collector(
    ends: str, way: str
) -> None:
    class Held:
        """Placeholder for a large request."""

        def SerializeToString(self) -> bytes:
            return b"peek"

    left: list[weakref.ref[Held]] = []

    def hold() -> Held:
        held = Held()
        left.append(weakref.ref(held))
        return held

    async def fail() -> bytes:
        _held = hold()
        if ends == "late":
            await asyncio.sleep(SECONDS)
        try:
            int("red")
        except ValueError as error:
            raise InvalidArgument("no such colour", reason="COLOUR_UNKNOWN") from error

    gc.disable()
    try:
        async with echo(Echo(peek=fail)) as peer:
            # In the process. On a network it is up to gRPC when it frees what was sent.
            sent = hold() if way == IN_PROCESS else Held()
            calling = peer.unary_unary("/test.Echo/Unary", Held.SerializeToString, None)
            with pytest.raises(grpc.aio.AioRpcError):
                await calling(sent, timeout=0.2 if ends == "late" else SECONDS)
            del sent
            await until(lambda: not any(each() for each in left))
    finally:
        gc.enable()


@pytest.mark.full
async def test_each_call_is_counted_once_under_its_code(way: str) -> None:
    service = f"counted-{way}"
    async with echo(service=service) as peer:
        await send(peer, "Unary", b"fine")
        for request in (b"bad", b"boom", b"abort"):
            with pytest.raises(grpc.aio.AioRpcError):
                await send(peer, "Unary", request)
        with pytest.raises(grpc.aio.AioRpcError):
            await unary(peer)(b"wait", timeout=2.0)
        await until(lambda: all(count(service, "test.Echo/Unary", code) for code in CODES))
    counts = {code: count(service, "test.Echo/Unary", code) for code in CODES}
    assert counts == dict.fromkeys(CODES, 1)


CODES = ("OK", "INVALID_ARGUMENT", "INTERNAL", "DATA_LOSS", "DEADLINE_EXCEEDED")


async def test_calls_side_by_side_keep_their_own_deadlines() -> None:
    async with echo() as peer:
        call = unary(peer)
        lefts = await asyncio.gather(*(call(b"time", timeout=t) for t in (5.0, 50.0, 500.0)))
    short, middle, long = (float(left) for left in lefts)
    assert short < 6.0 < middle < 60.0 < long
    assert deadlines.remaining() is None


def count(service: str, method: str, code: str) -> float | None:
    labels = {"service": service, "method": method, "code": code}
    return REGISTRY.get_sample_value("sightline_rpc_seconds_count", labels)


def trailers(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    pairs: Iterable[Any] = error.trailing_metadata() or ()
    return dict(pairs)
