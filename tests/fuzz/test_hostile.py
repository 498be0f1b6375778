"""The checks of intruders, slow clients and probes fail when they should."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.callers.admission import Admission, Public
from gateway.callers.keys import Keys
from local_suite.model import Program
from servicekit.admission.entry_limits import EntryLimits
from servicekit.admission.limits import ENTRIES, descriptor, request_bytes
from servicekit.config import ServerSettings
from servicekit.errors import PermissionDenied, ServiceError, Unauthenticated
from servicekit.rpc import server
from sightline.common.v1 import limits_pb2
from sightline.gateway.v1.catalog_service_pb2 import GetProductRequest
from tests.engines import free_port
from tests.fakes.kit_echo import Echo, binding
from tests.fuzz import broken, callers, oversizing, pictures
from tests.fuzz.callers import Callers
from tests.fuzz.composing import Composer
from tests.fuzz.idle import MOST_OF_A_CONNECTION, IdleStreams
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import KEPT, Answer, Call, Caller, Result
from tests.fuzz.probes import Probes
from tests.fuzz.slow import FAST, Pace, SlowCallers, slowed
from tests.fuzz.surface import METHODS, named
from tests.fuzz.wire import Sender
from tests.waiting import SECONDS, until

GET = named("GetProduct")
OTHERS = [each for each in Caller if each in callers.REFUSED]


@asynccontextmanager
async def answering(handle: Callable[[bytes, Any], Awaitable[bytes]]) -> AsyncIterator[str]:
    """Yield the address of a server with the same behaviour for every call."""

    class Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, _: object) -> Any:
            return grpc.unary_unary_rpc_method_handler(handle)

    naive = grpc.aio.server()
    naive.add_generic_rpc_handlers((Handler(),))
    port = naive.add_insecure_port("127.0.0.1:0")
    await naive.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await naive.stop(None)


async def gives(_: bytes, __: Any) -> bytes:
    return b""


# Intruders


def drawn(who: Callers, count: int) -> list[Call]:
    chance = random.Random(1)
    composer = Composer(chance, pictures.seeds(1))
    return [who.intruder(chance, *composer.draw()) for _ in range(count)]


def test_the_gateway_admits_the_one_and_none_of_the_intruders(tmp_path: Path) -> None:
    who = Callers.new()
    plain = Program("gateway", "edge", (), tmp_path, lambda: True, {"grpc": 1})
    (gateway,) = who.guarded([plain], tmp_path)
    assert {"grpc", "operators", "probes"} == set(gateway.ports)
    admission = Admission([Keys(Path(gateway.environment["GATEWAY_KEYS_FILE"]))])
    public = Public(admission, 1)

    def admitted(call: Call) -> Any:
        access = public if call.caller is Caller.OTHER_PORT else admission
        return access.admit(call.method[1:], dict(who.headers(call)), None)

    for path in METHODS:
        assert admitted(Call(path, b"", 1.0)).may_use(KEPT)
    calls = drawn(who, 600)
    assert {call.caller for call in calls} == set(OTHERS)
    for call in calls:
        if call.caller is Caller.ELSEWHERE:
            assert not admitted(call).may_use(KEPT)
            continue
        unknown = callers.REFUSED[call.caller] == {"UNAUTHENTICATED"}
        with pytest.raises(Unauthenticated if unknown else PermissionDenied):
            admitted(call)


def test_intruders_ask_for_what_has_to_stay() -> None:
    aimed = 0
    for call in drawn(Callers.new(), 300):
        message = METHODS[call.method].request()
        try:
            message.ParseFromString(call.request)
        except Exception:  # noqa: S112
            continue
        asked = getattr(message, "request", message)
        aimed += getattr(asked, "catalog_id", "") == KEPT
    assert aimed > 200


@pytest.mark.parametrize("kind", OTHERS)
async def test_an_intruder_who_gets_an_answer_is_a_finding(kind: Caller) -> None:
    request = GetProductRequest(catalog_id=KEPT, product_id="a").SerializeToString()
    async with answering(gives) as address, grpc.aio.insecure_channel(address) as channel:
        sender = Sender(channel, Ledger(), Callers.new())
        await sender.send(Call(GET.path, request, SECONDS, caller=kind))
        await sender.send(Call(GET.path, request, SECONDS))
    (finding,) = sender.findings
    assert finding.check == "intruders"
    assert sender.intruders == {(kind, "OK"): 1}
    assert sender.codes == {("GetProduct", "OK"): 1}


@pytest.mark.parametrize("kind", OTHERS)
def test_an_intruder_is_answered_nothing_but_that(kind: Caller) -> None:
    call = Call(GET.path, b"", 1.0, caller=kind)
    codes = {"OK", "NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "FAILED_PRECONDITION"}
    wrong = {code for code in codes if callers.complaint(call, Answer(code, "", b"", ()))}
    assert wrong == codes - callers.REFUSED[kind]
    assert not callers.complaint(Call(GET.path, b"", 1.0), Answer("OK", "", b"", ()))


# Too large


@pytest.mark.when("protos", "tests/fuzz")
def test_what_is_too_large_is_so_for_the_server_too() -> None:
    chance, ways = random.Random(2), {"bytes": 0, "entries": 0}
    for _ in range(300):
        method, raw = oversizing.draw(chance)
        found: Any = descriptor(method.path[1:])
        if len(raw) > request_bytes(found.GetOptions().Extensions[limits_pb2.limits]):
            ways["bytes"] += 1
            continue
        ways["entries"] += 1
        with pytest.raises(ServiceError):
            EntryLimits(method.request.DESCRIPTOR, ENTRIES).check(raw)
    assert min(ways.values()) > 30


def test_what_is_too_large_and_answered_is_complained_about() -> None:
    assert oversizing.complaint(Answer("OK", "", b"", ()))
    assert oversizing.complaint(Answer("UNAVAILABLE", "", b"", ()))
    assert not oversizing.complaint(Answer("RESOURCE_EXHAUSTED", "", b"", ()))


# Probes and streams


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[str]:
    running = await server.start([binding(Echo())], ServerSettings(port=0, **settings), "held")
    try:
        yield f"127.0.0.1:{running.port}"
    finally:
        await running.stop()


async def probed(*targets: str) -> Probes:
    probes = Probes({each: each for each in targets}, 10.0, print)
    running = asyncio.create_task(probes.run())
    await until(lambda: len(probes.asked) == len(targets))
    running.cancel()
    await asyncio.wait([running])
    return probes


async def test_probes_that_are_not_answered_are_seen() -> None:
    async with serving() as address:
        assert (await probed(address)).outcome().held
        seen = (await probed(address, f"127.0.0.1:{free_port()}")).outcome()
    assert not seen.held
    assert "UNAVAILABLE" in seen.measured
    assert not Probes({"one": "nobody asked"}, 1.0, print).outcome().held


@pytest.mark.parametrize("most", [1_000, 40])
async def test_idle_streams_that_have_no_place_are_seen(most: int) -> None:
    asked = MOST_OF_A_CONNECTION + 22
    streams = IdleStreams(asked, lambda: "")
    async with serving(max_streams=most) as address:
        async with streams.held(address, Callers(), address):
            await until(lambda: streams.decided == 2 * asked)
            assert streams.outcome().held is (most > 40)
        assert "22 of 72 refused" in streams.outcome().measured or most == 40


async def test_idle_streams_that_end_are_seen() -> None:
    streams = IdleStreams(4, lambda: "")
    async with serving(stream_seconds=0.5) as address, streams.held(address, Callers(), address):
        await until(lambda: streams.decided == 8)
        await until(lambda: not streams.outcome().held)


# Who is slow


async def test_a_relay_hands_on_at_its_pace() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1_000):
            writer.write(data)
        writer.close()

    behind = await asyncio.start_server(echo, "127.0.0.1", 0)
    target = f"127.0.0.1:{behind.sockets[0].getsockname()[1]}"
    async with behind, slowed(target, FAST, Pace(10, 3)) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"0123456789abcdef")
        assert await reader.readexactly(10) == b"0123456789"
        assert await reader.read(100) == b"abc"
        assert await reader.read(100) == b"def"
        writer.close()


async def test_a_server_that_waits_for_ever_for_a_slow_writer_is_seen() -> None:
    async with answering(gives) as address:
        slow = SlowCallers(address, Callers(), late=0.5)
        async with slow.at_work():
            outcome = await slow.outcome()
    assert not outcome.held
    assert "waited for" in outcome.measured


# What was given


def test_a_check_for_which_nothing_was_given_fails_nothing() -> None:
    result = Result()
    assert not result.clean
    result.add("one", True, "")
    result.leave_out("other", "no folder")
    assert result.clean
    result.miss("third", "no time")
    assert not result.clean


def test_broken_photos_are_those_of_the_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(broken.VARIABLE, raising=False)
    assert broken.photos() == ()
    monkeypatch.setenv(broken.VARIABLE, str(tmp_path))
    with pytest.raises(ValueError, match="no file"):
        broken.photos()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.heic").write_bytes(b"b")
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "empty.jpg").touch()
    assert broken.photos() == (b"a", b"b")
