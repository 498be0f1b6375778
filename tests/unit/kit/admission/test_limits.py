"""Calls that a server rejects before any work: over real connections, and within the process what
does not depend on the connection."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from types import SimpleNamespace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from servicekit import deadlines
from servicekit.admission import costs, limits
from servicekit.admission.access import FOR, OPEN, AccessPolicy
from servicekit.admission.concurrency import ConcurrencyLimit
from servicekit.admission.limits import MIB, STREAMS, CallAdmission, CallLimits
from servicekit.admission.memory_budget import (
    SOON,
    ArrivingBytes,
    ByteBudget,
    BytesExhausted,
    HealthReads,
    StreamsExhausted,
    StreamSlots,
)
from servicekit.config import ServerSettings, SharedServerSettings
from servicekit.processes import memory
from servicekit.rpc import channel
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import Binding
from servicekit.status import from_rpc_error
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc as pb_grpc
from tests import virtual_time
from tests.fakes.kit_echo import Echo, OneKey, binding
from tests.fakes.kit_large import Endless, Long, Shop
from tests.fuzz.slow import FAST, Pace, slowed
from tests.unit.kit.admission.limited import (
    BOTH_WAYS,
    HEALTH,
    KEY,
    STREAM,
    UNARY,
    is_alive,
    refusals,
    refused,
    serving,
    unsent,
)
from tests.waiting import SECONDS, until

# Sizes and counts


@pytest.mark.full
@BOTH_WAYS
async def test_a_call_takes_as_many_bytes_as_its_proto_says_and_no_more() -> None:
    shop = Shop()
    before = refusals("REQUEST_TOO_LARGE")
    async with (
        serving(Binding.of(shop), binding(Echo())) as address,
        channel.connect(address) as peer,
    ):
        stub = pb_grpc.RecommendationServiceStub(peer)
        signal = pb.QuerySignal(image=bytes(11 * MIB))
        await stub.Recommend(pb.RecommendRequest(signals=[signal]))
        signal = pb.QuerySignal(image=bytes(12 * MIB))
        photo = await refused(stub.Recommend(pb.RecommendRequest(signals=[signal])))
        plain = await refused(peer.unary_unary(UNARY)(bytes(MIB + 1)))
        assert await peer.unary_unary(UNARY)(bytes(MIB)) == bytes(MIB)
    assert [photo.reason, plain.reason] == ["REQUEST_TOO_LARGE"] * 2
    assert photo.retry_after is None
    assert plain.metadata == {"most_bytes": str(MIB)}
    assert len(shop.reached) == 1
    assert refusals("REQUEST_TOO_LARGE") == before + 2


@BOTH_WAYS
async def test_each_message_of_a_stream_is_held_to_it() -> None:
    async with serving() as address, channel.connect(address) as peer:
        sending = peer.stream_unary("/test.Echo/StreamUnary")
        assert (
            await refused(sending(iter([b"one", bytes(MIB + 1)])))
        ).reason == "REQUEST_TOO_LARGE"


async def test_who_is_not_let_in_is_not_waited_for() -> None:
    async with (
        serving(access=PeerCredentials(dict).access()) as address,
        channel.connect(address) as peer,
    ):
        assert (await refused(unsent(peer))).reason == "PEER_UNKNOWN"


@BOTH_WAYS
async def test_a_call_without_a_request_is_malformed() -> None:
    async with serving() as address, channel.connect(address) as peer:
        call = peer.stream_unary(UNARY)(iter(()))
        assert (await refused(call)).reason == "REQUEST_MALFORMED"


async def test_a_request_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ARRIVAL", 0.05)
    async with serving() as address, channel.connect(address) as peer:
        assert (await refused(unsent(peer))).reason == "REQUEST_LATE"


# Bytes


async def test_requests_wait_for_room_and_are_refused_when_there_is_none() -> None:
    async with (
        serving(max_bytes_in_flight=2 * MIB) as address,
        channel.connect(address) as peer,
    ):
        coming = unsent(peer)
        await is_alive(peer)
        error = await refused(peer.unary_unary(UNARY)(b"x"))
        assert (error.reason, error.retry_after is None) == ("BYTES_EXHAUSTED", False)
        assert await is_alive(peer)
        coming.cancel()
        assert await peer.unary_unary(UNARY)(b"x", timeout=SECONDS) == b"x"


async def test_room_goes_to_those_who_wait_in_their_order() -> None:
    room = ByteBudget(20)
    await room.acquire("shop", 8)
    waiting = [asyncio.create_task(room.acquire("shop", size)) for size in (6, 4, 2)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting[:2])
    room.release("shop", 8)
    await asyncio.gather(waiting[0], waiting[2])
    assert not waiting[1].done()
    room.release("shop", 6)
    await waiting[1]
    assert room.free == 20 - 2 - 4


async def test_a_caller_who_holds_nothing_is_forgotten() -> None:
    room = ByteBudget(20)
    assert room.taken("shop", 0)
    assert not room._held


async def test_one_caller_holds_half_of_the_room_and_keeps_nobody_out() -> None:
    room = ByteBudget(20)
    await room.acquire("slow", 10)
    waiting = asyncio.create_task(room.acquire("slow", 1))
    await asyncio.sleep(0)
    await room.acquire("shop", 10)
    assert not waiting.done()
    room.release("shop", 10)
    await asyncio.sleep(0)
    assert not waiting.done()
    room.release("slow", 10)
    await waiting
    assert room.free == 19


async def test_who_gives_up_waiting_holds_nothing_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("servicekit.admission.memory_budget.PATIENCE", 0.05)
    room = ByteBudget(20)
    await room.acquire("shop", 5)
    with pytest.raises(BytesExhausted):
        await room.acquire("shop", 6)
    large = asyncio.create_task(room.acquire("shop", 9))
    await asyncio.sleep(0)
    large.cancel()
    await room.acquire("shop", 5)
    room.release("shop", 10)
    assert room.free == 20


async def is_refused(peer: grpc.aio.Channel) -> bool:
    try:
        await peer.unary_unary(UNARY)(b"x", timeout=SECONDS)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason == "BYTES_EXHAUSTED"
    return False


async def is_answered(peer: grpc.aio.Channel) -> bool:
    return not await is_refused(peer)


async def test_who_does_not_read_answers_begins_no_further_calls() -> None:
    async with (
        serving(binding(Long()), max_bytes_in_flight=4 * MIB) as address,
        channel.connect(address) as peer,
    ):
        async with slowed(address, FAST, Pace(4_096)) as behind, channel.connect(behind) as slow:
            # The first few megabytes are held by buffers on the way.
            unread = [slow.unary_unary(UNARY)(b"x") for _ in range(16)]
            await until(lambda: is_refused(peer))
            assert await is_alive(peer)
            assert not any(each.done() for each in unread)
        await until(lambda: is_answered(peer))


def test_without_a_setting_a_process_has_its_part_of_a_quarter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "limit", lambda: 8 * 2**30)
    assert limits.CallLimits("s", ServerSettings()).bytes.free == 2**31
    shared = SharedServerSettings(port=1, processes=4)
    assert limits.CallLimits("s", shared).bytes.free == 2**29
    assert limits.CallLimits("s", ServerSettings(), services=4).bytes.free == 2**29
    monkeypatch.setattr(memory, "limit", lambda: 128 * MIB)
    assert limits.CallLimits("s", ServerSettings()).bytes.free == 128 * MIB


# Streams and probes


async def test_idle_watches_do_not_keep_probes_from_an_answer() -> None:
    async with (
        serving(max_concurrent_calls=10, max_streams=10) as address,
        channel.connect(address) as peer,
    ):
        stub = health_pb2_grpc.HealthStub(peer)
        watches = [stub.Watch(HEALTH) for _ in range(5)]  # half of them, for one address
        for each in watches:
            await asyncio.wait_for(each.read(), SECONDS)
        assert await is_alive(peer)
        assert await peer.unary_unary(UNARY)(b"x", timeout=SECONDS) == b"x"
        assert (await refused(stub.Watch(HEALTH).read())).reason == "STREAMS_EXHAUSTED"
        # Callers' streams are counted apart from anonymous ones.
        assert await peer.unary_stream(STREAM)(b"x", timeout=SECONDS).read() == b"first"
        watches[0].cancel()
        assert (await stub.Watch(HEALTH, wait_for_ready=True).read()) is not grpc.aio.EOF


def in_flight() -> float | None:
    return REGISTRY.get_sample_value("sightline_calls_in_flight", {"service": "limited"})


@pytest.mark.full
@BOTH_WAYS
async def test_calls_that_are_worked_on_are_shown_and_streams_and_probes_are_not() -> None:
    echo = Echo()
    async with serving(binding(echo)) as address, channel.connect(address) as peer:
        assert in_flight() == 0, "a new pod has none, which is not the same as no figure"
        watch = health_pb2_grpc.HealthStub(peer).Watch(HEALTH)
        stream = peer.unary_stream(STREAM)(b"wait")
        await asyncio.wait_for(asyncio.gather(watch.read(), stream.read()), SECONDS)
        assert await is_alive(peer)
        assert in_flight() == 0
        held = [peer.unary_unary(UNARY)(b"wait") for _ in range(3)]
        await until(lambda: in_flight() == 3)
        held[0].cancel()
        await until(lambda: in_flight() == 2)
        echo.go_on.set()
        assert await asyncio.gather(*held[1:]) == [b"wait"] * 2
        await until(lambda: in_flight() == 0)


@BOTH_WAYS
async def test_probes_are_answered_while_every_place_is_taken() -> None:
    echo = Echo()
    async with (
        serving(binding(echo), max_concurrent_calls=1) as address,
        channel.connect(address) as peer,
    ):
        held = peer.unary_unary(UNARY)(b"wait")
        await asyncio.wait_for(echo.started.wait(), SECONDS)
        error = await refused(peer.unary_unary(UNARY)(b"x"))
        assert error.reason == "SERVICE_OVERLOADED"
        assert error.retry_after is not None
        assert await is_alive(peer)
        echo.go_on.set()
        assert await held == b"wait"
        assert await peer.unary_unary(UNARY)(b"x") == b"x"


class Arrived:
    """The context of a call whose request is there."""

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def read(self) -> bytes:
        return b"x"

    def add_done_callback(self, _: object) -> None:
        pass


@pytest.mark.parametrize(("waited", "limit"), [(0.0, 8.0), (1.5, 16.0)])
def test_time_that_calls_wait_for_their_turn_is_no_sign_of_load(
    waited: float, limit: float
) -> None:
    """Let calls with a deadline of 2 s take 1.5 s, which lowers the limit unless it was a wait."""
    method = SimpleNamespace(
        request_streaming=False, response_streaming=False, response_serializer=None
    )

    async def work(_: bytes) -> bytes:
        await asyncio.sleep(1.5)
        costs.note_wait(waited)
        return b""

    async def call(limits: CallLimits) -> None:
        costs.current.set(costs.Cost())
        with deadlines.within(2.0):
            await CallAdmission(limits, "test.Echo/Unary", method, bytes).carry(work, Arrived(), {})

    async def main() -> float:
        made = CallLimits("limited", ServerSettings(max_concurrent_calls=16))
        made.concurrency = ConcurrencyLimit(16, asyncio.get_running_loop().time)
        await asyncio.gather(*(call(made) for _ in range(16)))
        return made.concurrency.limit

    found, _ = virtual_time.run(main())
    assert found == pytest.approx(limit)


async def test_checks_that_never_arrive_reject_no_other_check_of_their_address() -> None:
    async with serving() as address, channel.connect(address) as stuck:
        held = [unsent(stuck, f"/{limits.UNLIMITED}") for _ in range(3 * limits.HEALTH_READS)]
        async with channel.connect(address) as peer:
            assert [await is_alive(peer) for _ in range(12)] == [True] * 12
            watch = health_pb2_grpc.HealthStub(peer).Watch(HEALTH)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            assert await is_alive(stuck)
        assert {(await refused(each)).reason for each in held} == {"REQUEST_LATE"}


def test_only_the_newest_checks_have_long_to_arrive() -> None:
    """Check the limit: gRPC reads a whole message before its size is known, and 40 checks of 28 MiB
    took 3.4 GB."""
    ended: list[tuple[int, float]] = []

    async def read(reads: HealthReads, number: int) -> None:
        now = asyncio.get_running_loop().time
        begun = now()
        with pytest.raises(TimeoutError):
            async with reads.limit():
                await asyncio.Event().wait()
        ended.append((number, round(now() - begun, 3)))

    async def main() -> None:
        reads = HealthReads(2, 5.0)
        for seconds in (1, 2, 3):  # as after a time with none
            async with reads.limit():
                await asyncio.sleep(seconds)
        async with asyncio.TaskGroup() as reading:
            for number in range(3):
                reading.create_task(read(reads, number))
            await asyncio.sleep(1)
            reading.create_task(read(reads, 3))

    virtual_time.run(main())
    assert ended == [(0, SOON), (1, 1.0), (2, 5.0), (3, 5.0)]


@pytest.mark.parametrize("method", [limits.UNLIMITED, "grpc.health.v1.Health/Watch"])
async def test_a_health_check_is_small(method: str) -> None:
    async with serving() as address, channel.connect(address) as peer:
        call = peer.unary_stream(f"/{method}")(bytes(limits.HEALTH_BYTES + 1))
        error = await refused(call.read())
        assert (error.reason, "4 KiB" in error.message) == ("REQUEST_TOO_LARGE", True)


async def test_a_compressed_request_is_refused_before_it_is_expanded() -> None:
    echo = Echo()
    async with serving(binding(echo)) as address, channel.connect(address) as peer:
        for path in (UNARY, f"/{limits.UNLIMITED}"):
            call = peer.unary_unary(path)(bytes(4_000), compression=grpc.Compression.Gzip)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asyncio.wait_for(call, SECONDS)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            # It is refused by gRPC: no trailer of ours, so nothing of ours has read it.
            assert not dict(caught.value.trailing_metadata() or ())


def named(name: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata by which a service names the caller behind its call."""
    return (("authorization", f"Bearer {KEY}"), (FOR, name))


@pytest.mark.parametrize(
    "access",
    [OPEN, OneKey(KEY)],
    ids=["open", "with a key"],
)
async def test_a_caller_has_half_of_the_streams_of_the_connection_that_it_shares(
    access: AccessPolicy,
) -> None:
    echo = Echo()
    async with (
        serving(binding(echo), access=access, max_streams_per_connection=4) as address,
        channel.connect(address) as gateway,
    ):
        watch = gateway.unary_stream(STREAM)
        held = [watch(b"wait", metadata=named("greedy")) for _ in range(2)]
        for each in held:
            await asyncio.wait_for(each.read(), SECONDS)
        error = await refused(watch(b"x", metadata=named("greedy")).read())
        assert error.reason == "STREAMS_EXHAUSTED"
        other = watch(b"wait", metadata=named("other"))
        assert await other.read() == b"first"
        held[0].cancel()
        await until(lambda: streams_open() == 2)
        assert await watch(b"wait", metadata=named("greedy")).read() == b"first"


@BOTH_WAYS
async def test_a_caller_has_half_of_all_streams_over_however_many_connections() -> None:
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(max_streams=4))
        peers = [await stack.enter_async_context(channel.connect(address)) for _ in range(3)]
        opened = [peer.unary_stream(STREAM) for peer in peers]
        held = [open_one(b"wait", metadata=named("greedy")) for open_one in opened[:2]]
        for each in held:
            await asyncio.wait_for(each.read(), SECONDS)
        late = opened[2](b"wait", metadata=named("greedy"))
        assert (await refused(late.read())).reason == "STREAMS_EXHAUSTED"
        other = peers[0].unary_stream(STREAM)(b"wait", metadata=named("other"))
        assert await other.read() == b"first"


async def test_one_connection_does_not_take_every_stream() -> None:
    echo = Echo()
    async with (
        serving(binding(echo), max_streams_per_connection=2) as address,
        channel.connect(address) as one,
        channel.connect(address) as other,
    ):
        open_ones = [one.unary_stream(STREAM)(b"wait", metadata=named(name)) for name in "ab"]
        for each in open_ones:
            await asyncio.wait_for(each.read(), SECONDS)
        third = one.unary_stream(STREAM)(b"x", metadata=named("c"))
        assert (await refused(third.read())).reason == "STREAMS_EXHAUSTED"
        assert await other.unary_stream(STREAM)(b"x").read() == b"first"
        echo.go_on.set()
        assert await asyncio.wait_for(open_ones[0].read(), SECONDS) == b"wait"


@BOTH_WAYS
async def test_a_stream_ends_when_it_lived_long_enough() -> None:
    async with serving(stream_seconds=0.1) as address, channel.connect(address) as peer:
        call = peer.unary_stream(STREAM)(b"wait")
        assert await call.read() == b"first"
        error = await refused(call.read())
        assert error.reason == "STREAM_EXPIRED"
        assert error.retry_after is not None


@BOTH_WAYS
async def test_so_does_one_whose_reader_does_not_read() -> None:
    echo = Endless()
    async with (
        serving(binding(echo), stream_seconds=0.2) as address,
        channel.connect(address) as peer,
    ):
        call = peer.unary_stream(STREAM)(b"x")
        await asyncio.wait_for(call.read(), SECONDS)
        await asyncio.wait_for(echo.closed.wait(), SECONDS)
        await until(lambda: streams_open() == 0)


def streams_open() -> float | None:
    return REGISTRY.get_sample_value("sightline_streams", {"service": "limited", "of": "callers"})


async def test_bytes_of_an_arriving_request_are_held_as_they_come_and_returned() -> None:
    budget = ByteBudget(100)
    held = ArrivingBytes(budget, "shop")
    await held.add(30)
    await held.add(20)
    assert (budget.free, held.size) == (50, 50)
    with pytest.raises(BytesExhausted):
        await ArrivingBytes(budget, "shop").add(51)
    other = ArrivingBytes(budget, "other")
    await other.add(50)
    held.release()
    other.release()
    assert budget.free == 100


@pytest.mark.parametrize("peer", ["local:", "unix:", "unix:/run/gateway.sock"])
def test_streams_of_a_face_within_the_machine_have_no_limit_by_connection(peer: str) -> None:
    context = SimpleNamespace(peer=lambda: peer)
    slots = StreamSlots(1_000, 100, STREAMS.labels("test", "callers"))
    with ExitStack() as held:
        for caller in ("one", "two", "three"):
            for _ in range(50):
                held.enter_context(slots.count(limits._connection(context), caller))
        for _ in range(450):
            held.enter_context(slots.count("", "one"))
        with pytest.raises(StreamsExhausted):
            held.enter_context(slots.count("", "one"))
