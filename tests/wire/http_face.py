"""A real HTTP server in front of a real gateway with scripted peers."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.http import serving
from gateway.http.fixes import fixes
from gateway.http.settings import HttpSettings
from tests.fakes.gateway_wire import Suite, running

TLS = ssl.create_default_context()
"""Shared, because each client without one reads all authorities of the machine."""


@dataclass
class Face:
    """The server, the gateway behind it, and a client."""

    suite: Suite
    client: httpx.AsyncClient
    port: int
    settings: HttpSettings

    async def call(self, verb: str, path: str, **options: Any) -> httpx.Response:
        return await self.client.request(verb, path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        if isinstance(body, bytes | str):
            headers = {"content-type": "application/json"} | options.pop("headers", {})
            return await self.client.post(path, content=body, headers=headers, **options)
        return await self.client.post(path, json=body or {}, **options)

    async def raw(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Send bytes on a connection of their own, and return what comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def face_before(suite: Suite, **settings: Any) -> AsyncIterator[Face]:
    """Run a server before a gateway."""
    values = HttpSettings(
        **{"port": 0, "gateway_target": f"127.0.0.1:{suite.port}", "hosts": ("x",), **settings}
    )
    server = await serving.start(values)
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, verify=TLS) as client:
        try:
            yield Face(suite, client, server.port, values)
        finally:
            await client.aclose()
            await server.stop()


@asynccontextmanager
async def serving_http(http: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Face]:
    """Run a gateway with the given settings, and a server with those of `http`."""
    async with running(**settings) as suite, face_before(suite, **http or {}) as face:
        yield face


@pytest.fixture
async def face() -> AsyncIterator[Face]:
    async with serving_http() as made:
        yield made


def problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """Return the members of a problem, once its status, reason and form are as expected."""
    found: dict[str, Any] = json.loads(response.content)
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert (response.status_code, found["status"], found["reason"]) == (status, status, reason)
    assert response.headers["x-request-id"] == found["requestId"]
    assert found["type"] == f"/errors#{reason}"
    assert found["fix"] == fixes()[reason]
    return found
