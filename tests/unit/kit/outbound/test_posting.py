"""Messages to untrusted addresses, against a real server on this machine and invented names."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest

from servicekit.outbound.fetch import FetchPolicy, UriForbidden, UriUnreadable
from servicekit.outbound.posting import MOST_RETRY_AFTER, PostAnswer, Poster, WebhookSettings
from tests.fakes.web import FakeWeb, Writer, answer
from tests.unit.kit.outbound.fetching import Names

BODY = b'{"type":"alert"}'
HEADERS = {"webhook-id": "a1", "content-type": "application/json"}


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    async with FakeWeb({"/alerts": answer(status="204 No Content")}).serving() as served:
        yield served


def poster(web: FakeWeb, names: Names | None = None, **policy: Any) -> Poster:
    """Return a poster that may post to hooks.test, which is this machine."""
    chosen: dict[str, Any] = {
        "hosts": (f"hooks.test:{web.port}",),
        "schemes": ("http", "https"),
        "seconds": 5,
        "private": (ip_network("127.0.0.0/8"),),
    }
    return Poster(
        FetchPolicy(**(chosen | policy)), resolver=names or Names(hooks_test=[["127.0.0.1"]])
    )


async def send(client: Poster, web: FakeWeb, path: str = "/alerts") -> PostAnswer:
    return await client.post(web.url(path, host="hooks.test"), lambda: HEADERS, BODY)


async def test_a_message_arrives_with_its_headers_under_the_name_that_was_asked_for(
    web: FakeWeb,
) -> None:
    found = await send(poster(web), web)
    assert found == PostAnswer(204)
    assert found.accepted
    head = web.requests[-1].lower()
    assert head.startswith(b"post /alerts ")
    assert f"host: hooks.test:{web.port}\r\n".encode() in head
    assert b"webhook-id: a1\r\n" in head
    assert b"cookie" not in head
    assert web.bodies == [BODY]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "alerts",
        "ftp://hooks.test/alerts",
        "http://user:secret@hooks.test/alerts",
        "http://evil.test/alerts",
        "http://hooks.test.evil.test/alerts",
        "http://127.0.0.1/alerts",
        "http://[::1]/alerts",
    ],
)
async def test_other_addresses_are_refused_before_anything_is_sent(web: FakeWeb, uri: str) -> None:
    with pytest.raises(UriForbidden):
        poster(web).check(uri)
    with pytest.raises(UriForbidden):
        await poster(web).post(uri, lambda: HEADERS, BODY)
    assert not web.requests


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "168.63.129.16"],
)
async def test_a_name_that_points_inside_is_refused_at_each_message(
    web: FakeWeb, address: str
) -> None:
    names = Names(hooks_test=[["127.0.0.1"], [address]])
    client = poster(web, names)
    assert (await send(client, web)).accepted
    client = poster(web, names, private=())
    with pytest.raises(UriForbidden, match="public internet"):
        await send(client, web)
    assert len(web.requests) == 1


async def test_one_private_network_allows_no_other(web: FakeWeb) -> None:
    names = Names(hooks_test=[["127.0.0.1", "10.0.0.1"]])
    with pytest.raises(UriForbidden):
        await send(poster(web, names), web)


async def test_a_redirect_is_an_answer_that_is_not_followed(web: FakeWeb) -> None:
    web.pages["/moved"] = answer(status="302 Found", location="/alerts")
    found = await send(poster(web), web, "/moved")
    assert (found.status, found.accepted) == (302, False)
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("120", 120),
        ("", 0),
        ("-1", 0),
        ("1e9", 0),
        ("999999999", MOST_RETRY_AFTER),
        ("9" * 400, 0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
    ],
)
async def test_the_wait_that_a_receiver_asks_for_is_bounded(
    web: FakeWeb, stated: str, seconds: float
) -> None:
    web.pages["/busy"] = answer(status="503 Service Unavailable", retry_after=stated)
    assert await send(poster(web), web, "/busy") == PostAnswer(503, seconds)


async def hang(_: Writer) -> None:
    await asyncio.Event().wait()


async def trickle(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        writer.write(f"x-{number}: 1\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("page", [hang, trickle])
async def test_a_receiver_that_does_not_answer_in_time_is_left(web: FakeWeb, page: Any) -> None:
    web.pages["/slow"] = page
    with pytest.raises(UriUnreadable, match="did not answer within"):
        await send(poster(web, seconds=0.1), web, "/slow")


async def test_a_receiver_that_sends_no_http_or_no_end_costs_no_memory(web: FakeWeb) -> None:
    web.pages["/noise"] = b"\x00" * 100
    with pytest.raises(UriUnreadable, match="does not speak HTTP"):
        await send(poster(web), web, "/noise")

    async def endless(writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    web.pages["/endless"] = endless
    assert (await send(poster(web), web, "/endless")).accepted


@pytest.mark.slow
async def test_waiting_for_a_permit_is_no_failure_of_the_receiver(web: FakeWeb) -> None:
    async def late(writer: Writer) -> None:
        await asyncio.sleep(0.3)
        writer.write(answer())

    web.pages["/late"] = late
    client = poster(web, per_host=1, seconds=2)
    found = await asyncio.gather(*(send(client, web, "/late") for _ in range(8)))
    assert all(each.accepted for each in found)


async def test_a_receiver_that_is_down_says_so(web: FakeWeb) -> None:
    client = poster(web, hosts=("hooks.test:1",))
    with pytest.raises(UriUnreadable, match="can't be reached"):
        await client.post("http://hooks.test:1/alerts", lambda: HEADERS, BODY)


def test_by_default_nothing_is_allowed_and_the_setting_that_allows_is_named() -> None:
    client = Poster.of(WebhookSettings())
    with pytest.raises(UriForbidden, match="WEBHOOK_HOSTS"):
        client.check("https://hooks.test/alerts")
    with pytest.raises(UriForbidden, match="WEBHOOK_SCHEMES"):
        client.check("http://hooks.test/alerts")


@pytest.mark.parametrize(
    "network",
    ["0.0.0.0/0", "::/0", "8.8.8.0/24", "169.254.0.0/16", "169.254.169.254/32", "fd00::/8"],
)
def test_networks_with_credentials_of_machines_and_public_ones_can_not_be_allowed(
    network: str,
) -> None:
    with pytest.raises(ValueError, match="private network"):
        WebhookSettings(webhook_networks=(ip_network(network),))
    assert WebhookSettings(webhook_networks=(ip_network("10.2.0.0/16"),)).webhook_networks
