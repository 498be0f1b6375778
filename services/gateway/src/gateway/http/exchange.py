"""One request over HTTP and its answer, as ASGI gives and takes them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from gateway.http.errors import ClientGone, HeaderInvalid, MediaTypeUnsupported
from servicekit.interceptors import REQUEST_ID_KEY
from servicekit.limits import RequestLate, RequestTooLarge
from servicekit.telemetry import accept_request_id

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = "application/json"
PROBLEM = "application/problem+json"

GZIP_BYTES = 1_024
"""Minimum size of a body to be compressed."""
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(slots=True)
class HttpRequest:
    """A request whose body has not been read."""

    verb: str
    """HTTP method; GET for HEAD too, whose body the server drops."""
    path: str
    """Percent-encoded."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name; of several of one name the last."""
    client: str
    """Address of the sender, without a port."""
    request_id: str
    """The sender's own id if it is valid, else a new one."""
    receive: Receive
    seconds: float
    """Maximum seconds in which the body has to arrive."""
    _begun: bool = False
    _whole: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, scope: Mapping[str, Any], receive: Receive, seconds: float) -> HttpRequest:
        """Return the request of an ASGI scope."""
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
        return cls(
            "GET" if scope["method"] == "HEAD" else scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            headers,
            scope["client"][0] if scope.get("client") else "",
            accept_request_id(headers.get(REQUEST_ID_KEY)),
            receive,
            seconds,
        )

    @property
    def media_type(self) -> str:
        """Type of the body, lower-case and without parameters; empty if none is named."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def size(self) -> int | None:
        """Bytes of the body as sent; None: not known before it ends. Raises HeaderInvalid."""
        if "transfer-encoding" in self.headers:
            return None
        length = self.headers.get("content-length", "0")
        if not length.isdecimal():
            raise HeaderInvalid("Content-Length", "is not a number")
        return int(length)

    @property
    def is_read(self) -> bool:
        """True if nothing of the body is left to read."""
        return self._whole.is_set() or (not self._begun and self.size == 0)

    async def body(self, most: int) -> bytes:
        """Return the body, decompressed. Raises as `chunks`."""
        return b"".join([chunk async for chunk in self.chunks(most)])

    async def chunks(self, most: int) -> AsyncIterator[bytes]:
        """Yield the body, decompressed, of at most `most` bytes before and after.

        Raises RequestTooLarge (before anything is read if the headers say so), RequestLate,
        MediaTypeUnsupported, RequestMalformed, ClientGone.
        """
        expand = _decompressor(self.headers.get("content-encoding", ""), most)
        if (self.size or 0) > most:
            raise RequestTooLarge(most)
        received, self._begun = 0, True
        try:
            async with asyncio.timeout(self.seconds):
                more = True
                while more:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    received += len(chunk)
                    if received > most:
                        raise RequestTooLarge(most)
                    yield expand(chunk, not more)
                self._whole.set()
        except TimeoutError:
            raise RequestLate(self.seconds) from None

    async def closed(self) -> None:
        """Return when the client has closed the connection; the body is left to its reader."""
        if self.size != 0:
            await self._whole.wait()
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _decompressor(coding: str, most: int) -> Callable[[bytes, bool], bytes]:
    """Return a function of a chunk and whether it is the last, that returns its content."""
    if coding in ("", "identity"):
        return lambda chunk, _: chunk
    if coding != "gzip":
        raise MediaTypeUnsupported("Content-Encoding: only gzip is read")
    stream, total = zlib.decompressobj(_GZIP), 0

    def expand(chunk: bytes, last: bool) -> bytes:
        nonlocal total
        try:
            content = stream.decompress(chunk, most + 1 - total)
        except zlib.error:
            raise MediaTypeUnsupported("Content-Encoding: the body is not gzip") from None
        total += len(content)
        if total > most or stream.unconsumed_tail:
            raise RequestTooLarge(most)
        if stream.unused_data or (last and not stream.eof):
            raise MediaTypeUnsupported("Content-Encoding: the body is not one stream of gzip")
        return content

    return expand


@dataclass(slots=True)
class HttpAnswer:
    """An answer with a whole body."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False
    """True: the connection is closed afterwards."""

    async def send(self, send: Send, request: HttpRequest) -> None:
        """Send the answer, compressed if the client accepts that."""
        self._compress(request.headers.get("accept-encoding", ""))
        headers = {"cache-control": "no-store"} | self.headers
        if self.status not in (204, 304):
            headers |= {"content-type": self.media_type, "content-length": str(len(self.body))}
        if self.closes:
            headers["connection"] = "close"
        await send(start(self.status, headers))
        await send({"type": "http.response.body", "body": self.body})

    def _compress(self, accepted: str) -> None:
        if len(self.body) < GZIP_BYTES or self.media_type.startswith("image/"):
            return
        self.headers["vary"] = "Accept-Encoding"
        if any(each.strip().lower() == "gzip" for each in accepted.split(",")):
            stream = zlib.compressobj(1, wbits=_GZIP)
            self.body = stream.compress(self.body) + stream.flush()
            self.headers["content-encoding"] = "gzip"


def start(status: int, headers: Mapping[str, str]) -> MutableMapping[str, Any]:
    """Return the ASGI message that begins an answer."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}
