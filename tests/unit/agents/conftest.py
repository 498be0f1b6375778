"""Servers of agents in front of a gateway with canned answers."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from mcp import Client
from mcp_types import BlobResourceContents, CallToolResult, TextResourceContents, Tool

from sightline_agents.catalog import caller
from sightline_agents.catalog.photos import PhotoFolder
from sightline_agents.mcp.server import CatalogServer, build
from sightline_agents.serving import application
from sightline_client import SightlineClient
from tests.fakes.gateway import FakeGateway

SHOP = "https://shop.example"
JPEG = b"\xff\xd8\xff\xe0 a photo"


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as fake:
        yield fake


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway.target, token=caller.current) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    (made / "shelf.jpg").write_bytes(JPEG)
    return made


@pytest.fixture
def server(client: SightlineClient, folder: Path) -> CatalogServer:
    return build(client, PhotoFolder(folder), writes=True)


class Agent:
    """Asks for tools by the SDK's own client."""

    def __init__(self, server: CatalogServer) -> None:
        self._server = server

    async def ask(self, tool: str, **arguments: object) -> CallToolResult:
        """Return the answer of a tool."""
        async with Client(self._server) as client:
            return await client.call_tool(tool, arguments)

    async def call(self, tool: str, **arguments: object) -> dict[str, object]:
        """Return the structured answer of a tool that must not fail."""
        answer = await self.ask(tool, **arguments)
        assert not answer.is_error, answer.content
        assert answer.structured_content is not None
        return answer.structured_content

    async def failure(self, tool: str, **arguments: object) -> str:
        """Return the text of the error of a tool that must fail."""
        answer = await self.ask(tool, **arguments)
        assert answer.is_error, answer.content
        return "".join(each.text for each in answer.content if each.type == "text")

    async def tools(self) -> list[Tool]:
        """Return the tools."""
        async with Client(self._server) as client:
            return (await client.list_tools()).tools

    async def read(self, uri: str) -> TextResourceContents | BlobResourceContents:
        """Return a resource."""
        async with Client(self._server) as client:
            (content,) = (await client.read_resource(uri)).contents
            return content


@pytest.fixture
def agent(server: CatalogServer) -> Agent:
    return Agent(server)


@pytest.fixture
async def web(server: CatalogServer, client: SightlineClient) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the HTTP application, without MCP, which needs a server."""
    admit = partial(caller.admit, client)
    names = ["agents.sightline.svc"]
    app = application(server, SHOP, names, admit=admit)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8690") as opened:
        yield opened
