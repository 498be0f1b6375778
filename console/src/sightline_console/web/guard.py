"""Middleware that rejects requests for other hosts and of other pages, and sets headers by which
browsers keep other pages out."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LIVE = "/healthz"
"""Path of the probes, which may name any host."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer that does not set them itself."""
_READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """Hosts that requests may name."""

    any_port: frozenset[str]
    """Names that are reached at any port, in lower case."""
    whole: frozenset[str]
    """Names with their port, if it is not that of their scheme."""

    def __contains__(self, host: object) -> bool:
        """Return whether a header Host names one of them."""
        if not isinstance(host, str):
            return False
        host = host.lower()
        if host in self.whole:
            return True
        try:
            parts = urlsplit(f"//{host}")
            known = parts.port is None or parts.port > 0  # raises ValueError for what is no port
        except ValueError:
            return False
        plain = parts.netloc == host and not parts.path and parts.username is None
        return known and plain and parts.hostname in self.any_port


def known_hosts(public_address: str | None, names: Iterable[str]) -> KnownHosts:
    """Return the hosts of requests that are answered: a page of another origin must not reach a
    console on the machine of its reader."""
    whole = [] if public_address is None else [urlsplit(public_address).netloc.lower()]
    local = ("127.0.0.1", "localhost", "::1")
    return KnownHosts(frozenset((*local, *map(str.lower, names))), frozenset(whole))


class Guard:
    """Middleware that answers requests for known hosts alone, and writes of the console's own pages
    alone."""

    def __init__(self, app: ASGIApp, hosts: KnownHosts) -> None:
        """`hosts`: those that requests may name."""
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; see asgi.readthedocs.io."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        rejection = None if scope["path"] == LIVE else self._rejection(scope)
        await (rejection or self._app)(scope, receive, guarded)

    def _rejection(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse(
                "unknown host: name it with --name or --public-address of sightline-console\n", 421
            )
        if scope["method"] not in _READS and not _is_own(headers, host):
            return PlainTextResponse("pages of other origins may not call the console\n", 403)
        return None


def _is_own(headers: Headers, host: str) -> bool:
    """Return whether a browser sent a request for one of the console's own pages."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    return headers.get("origin", "").partition("://")[2].lower() == host.lower()
