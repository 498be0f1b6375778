"""Connections end after a while, so that callers find new pods; no call fails."""

import asyncio
import time
from collections.abc import Callable

import grpc
import pytest

from servicekit.rpc import channel
from sightline_client.transport import gateway_channel as client
from tests.fakes.kit_names import METHOD, NAME, pods
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.slow
Connect = Callable[[str], grpc.aio.Channel]
CALLS, CONNECTIONS = 500, 100
"""Answered calls and used connections after which a test has seen enough."""


async def call_on(peer: grpc.aio.Channel, until_then: asyncio.Event, pause: float = 0) -> int:
    """Call until the event is set. Return the number of calls; raise when one fails."""
    made, call = 0, peer.unary_unary(METHOD, None, None)
    while not until_then.is_set():
        await call(b"", timeout=SECONDS)
        await asyncio.sleep(pause)
        made += 1
    return made


@pytest.mark.full
async def test_a_pod_that_is_added_gets_its_share_once_connections_are_old() -> None:
    async with pods(2, age=0.5) as shop, channel.connect(shop.target) as peer:
        enough = asyncio.Event()
        calling = [asyncio.create_task(call_on(peer, enough, 0.005)) for _ in range(4)]
        await until(lambda: len(shop.answered) == 2)
        await shop.add()
        await until(lambda: len(shop.answered) == 3)  # without an end of connections: never
        before = sum(shop.answered.values()), shop.answered[2]
        await until(lambda: sum(shop.answered.values()) > before[0] + 600)
        enough.set()
        await asyncio.gather(*calling)
        share = (shop.answered[2] - before[1]) / (sum(shop.answered.values()) - before[0])
        assert 0.2 < share < 0.45


@pytest.mark.full
@pytest.mark.parametrize(
    "connect",
    [channel.connect, lambda target: client.connect(target, retries=False, credentials=None)],
    ids=["service", "client without retries"],
)
async def test_no_call_fails_where_connections_end_all_the_time(connect: Connect) -> None:
    """Make calls that may not be repeated by the client: gRPC only resends a call that no server
    began. Without that, some ten of these calls fail."""
    async with pods(2, age=0.005) as shop, connect(shop.target) as peer:
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            calling = [group.create_task(call_on(peer, enough)) for _ in range(64)]
            await until(lambda: sum(shop.answered.values()) > CALLS)
            await until(lambda: len(shop.connections) > CONNECTIONS)
            enough.set()
        assert sum(shop.answered.values()) == sum(call.result() for call in calling)


async def test_a_call_and_a_stream_outlive_the_age_of_their_connection() -> None:
    async with pods(1, age=0.1) as shop, channel.connect(shop.target) as peer:
        began = time.monotonic()
        stream = peer.unary_stream(f"/{NAME}/Stream")(b"0.8", timeout=SECONDS)
        call = peer.unary_unary(METHOD)(b"0.8", timeout=SECONDS)
        assert [each async for each in stream] == [b"begun", b"0"]
        assert await call == b"0"
        assert time.monotonic() - began > 0.7
        assert shop.answered[0] == 2
