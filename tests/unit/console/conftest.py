"""The console in front of a gateway with canned answers."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest

from sightline_client import SightlineClient
from sightline_console.pages.rendering import Pages
from sightline_console.screens.application import application
from sightline_console.screens.visit import Console
from sightline_console.web import key
from sightline_console.web.guard import known_hosts
from tests.fakes.gateway import FakeGateway

ADDRESS = "http://127.0.0.1:8695"
HTTP = "http://shop.example:8680"
JPEG = b"\xff\xd8\xff\xe0 a photo"


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as fake:
        yield fake


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway.target, token=key.current, timeout=60) as opened:
        yield opened


@pytest.fixture
def console(client: SightlineClient) -> Console:
    return Console(client, Pages(HTTP))


@dataclass
class Browser:
    """A browser without scripts: it keeps cookies, and sends the forms of pages."""

    web: httpx.AsyncClient

    async def open(self, path: str = "/") -> httpx.Response:
        """Open a page, without following where it leads."""
        return await self.web.get(path)

    async def csrf(self, path: str = "/") -> str:
        """Return the token of the forms of a page."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.open(path)).text)
        assert found is not None
        return found[1]

    async def send(
        self, path: str, fields: dict[str, str], photo: bytes | None = None
    ) -> httpx.Response:
        """Send a form as the console's own page does."""
        data = {"csrf": await self.csrf("/sign-in"), **fields}
        files = None if photo is None else {"file": ("photo.jpg", photo, "image/jpeg")}
        headers = {"origin": str(self.web.base_url).rstrip("/")}
        return await self.web.post(path, data=data, files=files, headers=headers)

    async def follow(self, answer: httpx.Response) -> httpx.Response:
        """Open where an answer leads."""
        assert answer.status_code == 303, answer.text
        return await self.open(answer.headers["location"])


def browser(console: Console, address: str = ADDRESS) -> httpx.AsyncClient:
    app = application(console, known_hosts("https://console.example", ["console"]))
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url=address)


@pytest.fixture
async def web(console: Console) -> AsyncIterator[Browser]:
    async with browser(console) as opened:
        yield Browser(opened)
