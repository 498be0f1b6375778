"""The HTTP server, with MCP at /mcp."""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline_agents.catalog import caller
from sightline_agents.catalog.photos import MAX_ENCODED
from sightline_agents.measuring import Measured
from sightline_agents.problems import of_error, problem
from sightline_client.errors import SightlineError

Admit = Callable[[str | None], Awaitable[None]]
"""Asks the gateway whether the caller of a header Authorization may call."""

MAX_BODY = MAX_ENCODED + 2**20
"""Maximum bytes of a request: a photo in base64, and the rest."""
BODY_SECONDS = 15.0
"""Maximum seconds for a request's body to arrive."""
MAX_CONNECTIONS = 1_000
"""Maximum number of connections; further requests are answered with 503."""
SMALL = 2**16
"""Maximum bytes of a body that any number of requests may have."""
MAX_LARGE = 16
"""Maximum number of requests with larger bodies, or bodies of unknown size, at once, half of them
for one caller."""
DRAINED = 2**26
"""Maximum bytes of a rejected body that are read and dropped, for the sake of clients that read no
answer before they have sent all."""
MCP = "/mcp"
"""Path of the Model Context Protocol."""
LIVE = "/live"
"""Path of the liveness probe, which may name any host."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def application(
    server: MCPServer[Any],
    public_address: str | None,
    names: Iterable[str] = (),
    *,
    admit: Admit,
) -> Starlette:
    """Return the ASGI application. `public_address`, `names`: further address and hosts at which
    agents reach it, which requests may name. `admit`: asked before a large body is read."""
    app = server.streamable_http_app(
        streamable_http_path=MCP,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MAX_BODY,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app.router.routes.append(Route(LIVE, _live))
    app.add_middleware(Admission, admit=admit, hosts=known_hosts(public_address, names))
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
    """Middleware that rejects requests for other hosts and of other pages, streams that would carry
    nothing, and bodies that are too large, too late, too many, or of callers that the gateway does
    not admit."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: TransportSecuritySettings,
        admit: Admit,
        *,
        most: int = MAX_BODY,
        seconds: float = BODY_SECONDS,
        large: int = MAX_LARGE,
    ) -> None:
        """`admit` raises AuthorizationInvalid or SightlineError for a header Authorization. `most`:
        bytes of a body. `seconds`: in which it must arrive. `large`: requests with large bodies at
        once."""
        self._app, self._hosts, self._admit = app, TransportSecurityMiddleware(hosts), admit
        self._most, self._seconds, self._places = most, seconds, large
        self._large = Counter[str]()
        """Requests with large bodies, by caller."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; see asgi.readthedocs.io."""
        if scope["type"] != "http" or scope["path"] == LIVE:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        posts = request.method == "POST"  # of which JSON alone is read
        rejection = _unanswered(request) or await self._hosts.validate_request(request, posts)
        if rejection is None and _is_small(request):
            await self._read(scope, receive, send)
            return
        if rejection is None:
            rejection = await self._rejected(request)
        if rejection is None:
            name = _caller(request)
            rejection = self._without_place(name)
        if rejection is not None:
            await self._reject(rejection, scope, receive, send)
            return
        self._large[name] += 1
        try:
            await self._read(scope, receive, send)
        finally:
            self._large[name] -= 1
            if not self._large[name]:
                del self._large[name]

    async def _rejected(self, request: Request) -> Response | None:
        """Return the answer to a caller whom the gateway does not admit."""
        try:
            await self._admit(request.headers.get("authorization"))
        except caller.AuthorizationInvalid as error:
            return problem(401, "token_invalid", str(error))
        except SightlineError as error:
            return of_error(error)
        return None

    def _without_place(self, name: str) -> Response | None:
        if self._large.total() < self._places and self._large[name] * 2 < self._places:
            return None
        return _rejected(503, "too many photos are on their way", {"retry-after": "1"})

    async def _reject(self, answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an answer, and drop the body: a connection that is closed before would lose it."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await self._drop(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await answer(scope, receive, sending)

    async def _drop(self, receive: Receive) -> None:
        left, more = DRAINED, True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request once its body has arrived."""
        try:
            async with asyncio.timeout(self._seconds):
                body, is_whole = await self._body(receive)
        except TimeoutError:
            await _rejected(408, "the body came too late")(scope, receive, send)
            return
        if body is None:
            return
        if len(body) > self._most:
            answer = _rejected(413, f"at most {self._most:,} bytes")
            if is_whole:
                await answer(scope, receive, send)
            else:
                await self._reject(answer, scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)

    async def _body(self, receive: Receive) -> tuple[bytes | None, bool]:
        """Return a body, or its beginning if it is too large, and whether nothing is left of it;
        None: the client is gone."""
        body, more = bytearray(), True
        while more and len(body) <= self._most:
            message = await receive()
            if message["type"] != "http.request":
                return None, True
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return bytes(body), not more


def _caller(request: Request) -> str:
    """Return the name by which large bodies of an admitted caller are counted: the token, however
    its header is written, or the sender's address."""
    sender = request.client.host if request.client else ""
    authorization = request.headers.get("authorization")
    return sender if authorization is None else caller.token_of(authorization)


def _is_small(request: Request) -> bool:
    if "transfer-encoding" in request.headers:  # which overrides a length (RFC 9112, 6.3)
        return False
    size = request.headers.get("content-length", "")
    if request.method in ("GET", "HEAD"):
        size = size or "0"
    return size.isdecimal() and int(size) <= SMALL


def _unanswered(request: Request) -> Response | None:
    """Reject what MCP without sessions does not have, streams for messages of the server, and what
    a browser sends for another page without naming it."""
    if request.url.path == MCP and request.method != "POST":
        return _rejected(405, "POST alone", {"allow": "POST"})
    site = request.headers.get("sec-fetch-site", "").lower()
    if site == "cross-site" and "origin" not in request.headers:
        return _rejected(403, "pages of other origins may not call this server")
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


def known_hosts(public_address: str | None, names: Iterable[str]) -> TransportSecuritySettings:
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
