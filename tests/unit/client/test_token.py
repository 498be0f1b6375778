"""Every call carries the token, over any channel, and no other output shows it."""

import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from sightline_client import SightlineClient, SyncSightlineClient, Unimplemented
from sightline_client.transport.calls import Calls

TOKEN = "slk_kept-from-all-eyes"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Hears(grpc.GenericRpcHandler):
    """Handler that keeps the credentials of every call; it has no methods."""

    def __init__(self) -> None:
        self.heard: list[list[str]] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        metadata = handler_call_details.invocation_metadata
        self.heard.append([str(value) for key, value in metadata if key == "authorization"])


@pytest.fixture
def hears() -> Hears:
    return Hears()


@pytest.fixture
def targets(hears: Hears) -> Iterator[dict[str, str]]:
    """Yield a server's addresses: in plain text, and with required credentials."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[hears])
        plain = server.add_insecure_port("127.0.0.1:0")
        secure = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
        server.start()
        yield {"plain": f"127.0.0.1:{plain}", "secure": f"127.0.0.1:{secure}"}
        server.stop(None).wait()


def credentials(channel: str) -> grpc.ChannelCredentials | None:
    return grpc.local_channel_credentials() if channel == "secure" else None


async def asked(client: SightlineClient, kind: str, channel: grpc.aio.Channel) -> None:
    """Make a call of a kind and wait for its end."""

    async def messages() -> AsyncIterator[bytes]:
        yield b""

    call: Any = getattr(channel, kind)("/no.Such/Call")
    made = call(messages() if kind.startswith("stream") else b"", metadata=(("own", "1"),))
    with pytest.raises(grpc.aio.AioRpcError):
        await (made.read() if kind.endswith("stream") else made)


@pytest.mark.parametrize("channel", ["plain", "secure"])
async def test_every_kind_of_call_says_who_calls(
    hears: Hears, targets: dict[str, str], channel: str
) -> None:
    async with SightlineClient(
        targets[channel], token=TOKEN, credentials=credentials(channel)
    ) as client:
        for kind in KINDS:
            await asked(client, kind, client.calls._channel)
        with pytest.raises(Unimplemented):
            await client.status()
    assert hears.heard == [[f"Bearer {TOKEN}"]] * (len(KINDS) + 1)


async def test_without_a_token_nobody_is_named(hears: Hears, targets: dict[str, str]) -> None:
    async with SightlineClient(targets["plain"]) as client:
        with pytest.raises(Unimplemented):
            await client.status()
    assert hears.heard == [[]]


def test_the_synchronous_client_says_it_too(hears: Hears, targets: dict[str, str]) -> None:
    client = SyncSightlineClient(targets["plain"], token=TOKEN)
    with client, pytest.raises(Unimplemented):
        client.status()
    assert hears.heard == [[f"Bearer {TOKEN}"]]


async def test_a_function_names_the_caller_of_each_call(
    hears: Hears, targets: dict[str, str]
) -> None:
    tokens = iter(["slk_first", None, "slk_second"])
    async with SightlineClient(targets["plain"], token=lambda: next(tokens)) as client:
        for _ in range(3):
            with pytest.raises(Unimplemented):
                await client.status()
    assert hears.heard == [["Bearer slk_first"], [], ["Bearer slk_second"]]


async def test_a_function_whose_token_can_not_be_sent_fails_the_call_unseen(
    hears: Hears, targets: dict[str, str]
) -> None:
    async with SightlineClient(targets["plain"], token=lambda: "kept\n") as client:
        with pytest.raises(ValueError, match="the token") as caught:
            await client.status()
    assert "kept" not in str(caught.value)
    assert not hears.heard


@pytest.mark.parametrize("token", ["", "a b", "kept\n", "ké", "\x7f", " kept"])
def test_a_token_that_can_not_be_sent_is_refused_unseen(token: str) -> None:
    before = set(threading.enumerate())
    for make in (SightlineClient, SyncSightlineClient, Calls):
        with pytest.raises(ValueError, match="the token") as caught:
            make("127.0.0.1:1", token=token)
        assert not token or token not in str(caught.value)
    left = [each.name for each in threading.enumerate() if each not in before]
    assert "sightline-client" not in left, "the thread of a client that never was"


async def test_a_token_is_in_no_text(targets: dict[str, str]) -> None:
    async with SightlineClient(targets["plain"], token=TOKEN) as client:
        with pytest.raises(Unimplemented) as caught:
            await client.status()
        failed = caught.value
        texts = [repr(client), repr(vars(client)), repr(vars(client.calls))]
        texts += [repr(failed), str(failed), repr(failed.failure), repr(failed.__context__)]
    assert not [text for text in texts if TOKEN in text]
