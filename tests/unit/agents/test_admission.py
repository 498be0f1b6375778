"""Requests that the HTTP server rejects before they are read, and what the commands reject."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from typer.testing import CliRunner

from sightline_agents import serving
from sightline_agents.catalog.caller import token_of
from sightline_agents.cli import app
from sightline_client.errors import Failure, Unauthenticated
from tests.unit.agents.conftest import SHOP

HOSTS = TransportSecuritySettings(allowed_hosts=["shop.example"], allowed_origins=[])


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of a body."""
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


async def admit(authorization: str | None) -> None:
    """Admit callers of one token, and those without."""
    if authorization is not None and token_of(authorization) != "good":
        raise Unauthenticated(Failure(grpc.StatusCode.UNAUTHENTICATED, "no", "TOKEN_INVALID"))


def admitted(**limits: float) -> httpx.AsyncClient:
    guarded = serving.Admission(echo, HOSTS, admit, **limits)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://shop.example")


async def parts(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield bytes(size)


JSON = {"content-type": "application/json"}


async def test_a_body_is_whole_up_to_the_limit() -> None:
    async with admitted(most=10) as web:
        assert (await web.post("/", content=parts(4, 6), headers=JSON)).text == "10"
        assert (await web.get("/")).text == "0"
        large = await web.post("/", content=parts(4, 7), headers=JSON)
    assert (large.status_code, large.headers["connection"]) == (413, "close")


async def test_a_body_that_does_not_come_ends_the_request() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    sent: list[Message] = []
    scope = {"type": "http", "path": "/", "method": "POST", "query_string": b"", "headers": []}
    scope["headers"] = [(b"host", b"shop.example"), (b"content-type", b"application/json")]
    body = slow()

    async def receive() -> Message:
        return {"type": "http.request", "body": await anext(body), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    await serving.Admission(echo, HOSTS, admit, seconds=0.01)(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_large_bodies_have_a_number_at_once_and_small_ones_have_none() -> None:
    async with admitted(large=0) as web:
        small = await web.post("/", content=b"x" * serving.SMALL, headers=JSON)
        large = await web.post("/", content=b"x" * (serving.SMALL + 1), headers=JSON)
        unknown = await web.post("/", content=parts(1), headers=JSON)
    assert [each.status_code for each in (small, large, unknown)] == [200, 503, 503]
    assert large.headers["retry-after"] == "1"


async def test_the_number_of_large_bodies_comes_back() -> None:
    async with admitted(large=1, most=2**17) as web:
        for size, status in ((2**18, 413), (2**17, 200), (2**17, 200)):
            sent = await web.post("/", content=bytes(size), headers=JSON)
            assert sent.status_code == status


@pytest.mark.parametrize(
    "sizes",
    [{"content-length": "100000"}, {"content-length": "5", "transfer-encoding": "chunked"}],
    ids=["a length", "chunks that override a length"],
)
async def test_a_large_body_is_read_once_its_caller_is_admitted_and_takes_no_place_before(
    sizes: dict[str, str],
) -> None:
    bad = JSON | {"authorization": "Bearer bad"} | sizes
    sent: list[Message] = []
    scope = {"type": "http", "path": "/", "method": "POST", "query_string": b""}
    named = [(b"host", b"shop.example"), *((k.encode(), v.encode()) for k, v in bad.items())]

    async def receive() -> Message:
        assert sent, "read before its caller is admitted"
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    admission = serving.Admission(echo, HOSTS, admit, large=0)
    await admission({**scope, "headers": named}, receive, send)
    assert sent[0]["status"] == 401


async def test_a_caller_has_half_of_the_places_for_large_bodies() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        began.set()
        await go.wait()
        yield b"x"

    async with admitted(large=2) as web:
        good = JSON | {"authorization": "Bearer good"}
        held = asyncio.ensure_future(web.post("/", content=slow(), headers=good))
        await began.wait()
        for spelled in ("Bearer good", "bearer good", "BEARER   good"):
            again = good | {"authorization": spelled}
            assert (await web.post("/", content=parts(1), headers=again)).status_code == 503
        assert (await web.post("/", content=parts(1), headers=JSON)).status_code == 200
        go.set()
        assert (await held).status_code == 200


async def test_mcp_has_no_stream_to_hold_open(web: httpx.AsyncClient) -> None:
    for verb in ("GET", "DELETE", "PUT"):
        answer = await web.request(verb, serving.MCP)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "["}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "shop.example"}, 200),
    ],
)
async def test_other_hosts_and_origins_are_rejected(headers: dict[str, str], status: int) -> None:
    async with admitted() as web:
        assert (await web.get("/", headers=headers)).status_code == status
        live = await web.get(serving.LIVE, headers=headers)
    assert live.status_code == 200, "probes name the address of a pod"


async def test_a_page_of_another_origin_reads_no_catalog(web: httpx.AsyncClient) -> None:
    rebound = {"host": "rebound.example:8690", "content-type": "application/json"}
    for verb, path in (("GET", "/any"), ("POST", serving.MCP)):
        assert (await web.request(verb, path, headers=rebound)).status_code == 421
    public = SHOP.removeprefix("https://")
    for host in (public, "agents.sightline.svc", "agents.sightline.svc:8690"):
        assert (await web.get("/any", headers={"host": host})).status_code == 404


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("http --host 0.0.0.0", "--public-address"),
        ("http --public-address http://shop.example", "https://"),
        ("http --public-address https://shop.example/mcp", "https://"),
        ("http --public-address https://ann@shop.example", "https://"),
        ("http --public-address https://[", "https://"),
        ("http --name agents:8690", "--name"),
        ("http --anonymous-token-file /no/such/file", "/no/such/file"),
        ("http --photos /no/such/folder", "--photos"),
        ("http --token slk_a", "--token"),
        ("stdio --token é", "--token"),
    ],
)
def test_wrong_usage_is_explained(line: str, words: str) -> None:
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, line.split())
    assert done.exit_code == 2
    assert words in done.output
