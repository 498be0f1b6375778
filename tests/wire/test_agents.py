"""Agents' own keys at a real gateway: roles, and callers side by side, by HTTP and by stdio."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.engines import free_port
from tests.fakes.gateway_wire import Suite, running
from tests.unit.gateway.callers.conftest import entry
from tests.waiting import until

pytestmark = pytest.mark.full

READER, WRITER = "slk_reader", "slk_writer"
PHOTO = base64.b64encode(b"\xff\xd8\xff any photo").decode()


@dataclass
class Shop:
    """A gateway that wants keys, and agents' server in front of it."""

    suite: Suite
    address: str

    async def ask(self, token: str | None, tool: str, **arguments: object) -> CallToolResult:
        """Return the answer of a tool to the holder of a token."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        # The SDK takes a client of its own HTTP library alone.
        from httpx2 import AsyncClient

        async with (
            AsyncClient(headers=headers) as web,
            Client(streamable_http_client(f"{self.address}/mcp", http_client=web)) as agent,
        ):
            return await agent.call_tool(tool, arguments)


@pytest.fixture
async def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(
        entry("reader", READER, '["read"]') + entry("writer", WRITER, '["events", "catalog"]')
    )
    path.chmod(0o600)
    return path


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sightline_agents", *arguments),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert not said, "nothing is written for well-formed requests"


@pytest.fixture
async def suite(keys: Path) -> AsyncIterator[Suite]:
    async with running(keys_file=keys) as found:
        yield found


@asynccontextmanager
async def serving(suite: Suite, *more: str) -> AsyncIterator[Shop]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    options = ("--port", str(port), "--target", f"127.0.0.1:{suite.port}", "--writes", *more)
    async with (
        started("http", *options, "--public-address", "https://shop.example"),
        httpx.AsyncClient() as web,
    ):

        async def live() -> bool:
            try:
                return (await web.get(f"{address}/live")).status_code == 200
            except httpx.TransportError:
                return False

        await until(live)
        yield Shop(suite, address)


def said(answer: CallToolResult) -> str:
    return "".join(each.text for each in answer.content if each.type == "text")


async def test_a_catalog_is_open_to_all_by_a_token_of_the_server(
    suite: Suite, tmp_path: Path
) -> None:
    (token := tmp_path / "token").write_text(f"{READER}\n")
    event = {"event_id": "e1", "type": "CLICK", "product_id": "p1", "user": "ann"}
    async with serving(suite, "--anonymous-token-file", str(token)) as shop:
        read, denied, own, guessed = await asyncio.gather(
            shop.ask(None, "search_products", photo=PHOTO),
            shop.ask(None, "send_events", events=[event]),
            shop.ask(WRITER, "search_products", photo=PHOTO),
            shop.ask("slk_guessed", "search_products", photo=PHOTO),
        )
    assert not read.is_error, said(read)
    assert "ROLE_MISSING" in said(denied), "the roles of that token and no more"
    assert "ROLE_MISSING" in said(own), "a caller's own token counts, even with less roles"
    assert "TOKEN_INVALID" in said(guessed)


async def test_each_caller_has_the_roles_of_its_own_key(suite: Suite) -> None:
    event = {"event_id": "e1", "type": "CLICK", "product_id": "p1", "user": "ann"}
    suite.ranker.script.times_valid = True
    async with serving(suite) as shop:
        read, denied, nobody, guessed, written, unread = await asyncio.gather(
            shop.ask(READER, "search_products", photo=PHOTO),
            shop.ask(READER, "send_events", events=[event]),
            shop.ask(None, "search_products", photo=PHOTO),
            shop.ask("slk_guessed", "search_products", photo=PHOTO),
            shop.ask(WRITER, "send_events", events=[event]),
            shop.ask(WRITER, "search_products", photo=PHOTO),
        )
    assert not read.is_error, said(read)
    assert read.structured_content is not None
    assert read.structured_content["products"][0]["product_id"] == "p3"
    assert "ROLE_MISSING" in said(denied)
    assert "TOKEN_MISSING" in said(nobody)
    assert "TOKEN_INVALID" in said(guessed)
    assert written.structured_content is not None
    assert written.structured_content["failures"] == []
    assert "ROLE_MISSING" in said(unread)


async def test_an_exhausted_quota_is_told_with_what_to_do(keys: Path) -> None:
    limits = {"quota_calls": 0.001, "quota_burst_seconds": 3600}  # 3.6 calls
    event = {"event_id": "e1", "type": "CLICK", "product_id": "p1", "user": "ann"}
    async with running(keys_file=keys, **limits) as suite, serving(suite) as shop:
        answers = [await shop.ask(READER, "search_products", photo=PHOTO) for _ in range(5)]
        other = await shop.ask(WRITER, "send_events", events=[event])
    assert [each.is_error for each in answers] == [False] * 3 + [True] * 2
    for each in answers[3:]:
        assert "QUOTA_EXHAUSTED: " in said(each)
        assert "make fewer calls, and wait" in said(each).partition("What to do: ")[2]
    assert not other.is_error, "each caller has quotas of its own"


async def test_a_header_that_names_no_token_is_a_protocol_error(suite: Suite) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream", "authorization": "Basic YTpi"}
    async with serving(suite) as shop, httpx.AsyncClient(headers=headers) as web:
        answer = (await web.post(f"{shop.address}/mcp", json=call)).json()
        malformed = await web.post(
            f"{shop.address}/mcp", content=b"{", headers={"content-type": "application/json"}
        )
    assert "Bearer TOKEN" in answer["error"]["message"]
    assert malformed.status_code == 400


async def test_on_standard_input_all_calls_have_the_given_token(
    suite: Suite, tmp_path: Path
) -> None:
    (tmp_path / "reader.token").write_text(READER)
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "sightline_agents", "stdio", "--target", f"127.0.0.1:{suite.port}"],
        env={**os.environ, "SIGHTLINE_TOKEN_FILE": str(tmp_path / "reader.token")},
    )
    async with Client(server) as agent:
        names = {tool.name for tool in (await agent.list_tools()).tools}
        answer = await agent.call_tool("search_products", {"photo": PHOTO})
        product = await agent.read_resource("sightline://products/p1")
    assert "upsert_products" not in names
    assert answer.structured_content is not None
    assert answer.structured_content["products"][0]["product_id"] == "p3"
    assert json.loads(product.contents[0].text)["title"] == "Title p1"  # type: ignore[union-attr]
