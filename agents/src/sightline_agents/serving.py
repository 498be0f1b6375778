"""The HTTP server: MCP at /mcp, and UCP where the shop's address is known."""

import asyncio
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline_agents.catalog.photos import MAX_ENCODED
from sightline_agents.measuring import Measured

MAX_BODY = MAX_ENCODED + 2**20
"""Maximum bytes of a request: a photo in base64, and the rest."""
BODY_SECONDS = 15.0
"""Maximum seconds for a request's body to arrive."""
MAX_CONNECTIONS = 1_000
"""Maximum number of connections; further requests are answered with 503."""
SMALL = 2**16
"""Maximum bytes of a body that any number of requests may have."""
MAX_LARGE = 16
"""Maximum number of requests with larger bodies, or bodies of unknown size, at once."""
MCP = "/mcp"
"""Path of the Model Context Protocol."""
LIVE = "/live"
"""Path of the liveness probe, which may name any host."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def application(
    server: MCPServer[Any],
    routes: list[BaseRoute],
    public_address: str | None,
    names: Iterable[str] = (),
) -> Starlette:
    """Return the ASGI application. `public_address`, `names`: further address and hosts at which
    agents reach it, which requests may name."""
    app = server.streamable_http_app(
        streamable_http_path=MCP,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MAX_BODY,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app.router.routes += [Route(LIVE, _live), *routes]
    app.add_middleware(Admission, hosts=_hosts(public_address, names))
    app.add_middleware(Measured, unmeasured=LIVE)
    return app


class Server(uvicorn.Server):
    """A server that ends well on SIGTERM and SIGINT, in place of dying of them afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.should_exit = True


async def serve(app: Starlette, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    await Server(config).serve()


class Admission:
    """Middleware that rejects requests for other hosts, streams that would carry nothing, and
    bodies that are too large, too late or too many."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: TransportSecuritySettings,
        most: int = MAX_BODY,
        seconds: float = BODY_SECONDS,
        large: int = MAX_LARGE,
    ) -> None:
        """`most`: bytes of a body. `seconds`: in which it must arrive. `large`: requests with large
        bodies at once."""
        self._app, self._hosts = app, TransportSecurityMiddleware(hosts)
        self._most, self._seconds, self._large = most, seconds, large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; see asgi.readthedocs.io."""
        if scope["type"] != "http" or scope["path"] == LIVE:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        rejection = _unanswered(scope) or await self._hosts.validate_request(request)
        is_large = not _is_small(request)
        if rejection is None and is_large and not self._large:
            rejection = _rejected(503, "too many photos are on their way", {"retry-after": "1"})
        if rejection is not None:
            await rejection(scope, receive, send)
            return
        self._large -= is_large
        try:
            await self._read(scope, receive, send)
        finally:
            self._large += is_large

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request once its body has arrived."""
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._body(receive)
        except TimeoutError:
            await _rejected(408, "the body came too late")(scope, receive, send)
            return
        if body is None:
            return
        if len(body) > self._most:
            await _rejected(413, f"at most {self._most:,} bytes")(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """Return a body, or its beginning if it is too large; None: the client is gone."""
        body = bytearray()
        while len(body) <= self._most:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        return bytes(body)


def _is_small(request: Request) -> bool:
    size = request.headers.get("content-length", "")
    if request.method in ("GET", "HEAD") and "transfer-encoding" not in request.headers:
        size = size or "0"
    return size.isdecimal() and int(size) <= SMALL


def _unanswered(scope: Scope) -> Response | None:
    """Reject what MCP without sessions does not have: streams for messages of the server."""
    if scope["path"] == MCP and scope["method"] != "POST":
        return _rejected(405, "POST alone", {"allow": "POST"})
    return None


def _rejected(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer that closes the connection: what is left of the body is not read."""
    return PlainTextResponse(f"{text}\n", status, {**(headers or {}), "connection": "close"})


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the body, then what follows it."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


async def _live(_: Request) -> Response:
    return PlainTextResponse("ok\n")


def _hosts(public_address: str | None, names: Iterable[str]) -> TransportSecuritySettings:
    """Return the hosts and origins of requests that are answered: a page of another origin must not
    reach a server on the machine of its reader."""
    hosts = [f"{each}:*" for each in LOOPBACK]
    hosts += [given for each in names for given in (each, f"{each}:*")]
    origins = [f"http://{each}:*" for each in LOOPBACK]
    if public_address is not None:
        parts = urlsplit(public_address)
        hosts += [parts.netloc, f"{parts.hostname}:*"]
        origins.append(f"{parts.scheme}://{parts.netloc}")
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
