"""One request over HTTP and its answer, as ASGI gives and takes them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.http.errors import (
    ClientGone,
    ExpandsTooMuch,
    HeaderInvalid,
    MediaTypeUnsupported,
)
from servicekit.admission.limits import RequestLate, RequestTooLarge
from servicekit.deadlines import in_thread
from servicekit.rpc.interceptors import REQUEST_ID_KEY
from servicekit.telemetry import accept_request_id

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")

JSON = "application/json"
PROBLEM = "application/problem+json"

GZIP_BYTES = 1_024
"""Minimum size of a body to be compressed."""
BIG = 2**14
"""Minimum bytes of a body that a thread parses or compresses, so that others are not delayed."""
RATIO = 10
"""Maximum bytes of content for a byte of a compressed body that arrived."""
ANY_RATIO = 2**16
"""Bytes of content that a compressed body may have at any ratio."""
DRAINED = 2**26
"""Maximum bytes of a body that are read and dropped after its answer, for the sake of clients that
read no answer before they have sent all; four times the largest photo."""
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
    def is_compressed(self) -> bool:
        """True if the body is, as its headers say."""
        return self.headers.get("content-encoding", "") not in ("", "identity")

    @property
    def is_read(self) -> bool:
        """True if nothing of the body is left to read."""
        return self._whole.is_set() or (not self._begun and self.size == 0)

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

    async def drain(self, seconds: float) -> None:
        """Drop what is left of the body, at most DRAINED bytes and for `seconds`."""
        left = DRAINED
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while left > 0 and not self.is_read:
                    message = await self.receive()
                    self._begun = True
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        self._whole.set()

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
    stream, received, total = zlib.decompressobj(_GZIP), 0, 0

    def expand(chunk: bytes, last: bool) -> bytes:
        nonlocal received, total
        received += len(chunk)
        allowed = min(most, max(ANY_RATIO, RATIO * received))
        try:
            content = stream.decompress(chunk, allowed + 1 - total)
        except zlib.error:
            raise MediaTypeUnsupported("Content-Encoding: the body is not gzip") from None
        total += len(content)
        if total > allowed or stream.unconsumed_tail:
            raise RequestTooLarge(most) if allowed == most else ExpandsTooMuch(RATIO)
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

    packed: bytes | None = None
    """The body compressed already; None: it is compressed for each client that accepts that."""

    async def send(self, send: Send, request: HttpRequest, drain_seconds: float = 0.0) -> None:
        """Send the answer, compressed if the client accepts that, and drop what is left of the
        request for at most `drain_seconds`: a closed connection would lose the answer."""
        await self._compress(request.headers.get("accept-encoding", ""))
        headers = {"cache-control": "no-store"} | self.headers
        if self.status not in (204, 304):
            headers |= {"content-type": self.media_type, "content-length": str(len(self.body))}
        if self.closes:
            headers["connection"] = "close"
        await send(start(self.status, headers))
        if not self.closes and not request.is_read:
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            self.body = b""
            await request.drain(drain_seconds)
        await send({"type": "http.response.body", "body": self.body})

    async def _compress(self, accepted: str) -> None:
        if len(self.body) < GZIP_BYTES or self.media_type.startswith("image/"):
            return
        self.headers["vary"] = "Accept-Encoding"
        if any(each.strip().lower() == "gzip" for each in accepted.split(",")):
            body = self.body
            if self.packed is None:
                self.packed = await off_loop(body, lambda: compressed(body))
            self.body = self.packed
            self.headers["content-encoding"] = "gzip"


def compressed(body: bytes) -> bytes:
    """Return a body as gzip."""
    stream = zlib.compressobj(1, wbits=_GZIP)
    return stream.compress(body) + stream.flush()


async def off_loop(data: bytes, work: Callable[[], T]) -> T:
    """Return `work()`; in a thread if its data are big."""
    return await in_thread(work) if len(data) >= BIG else work()


def start(status: int, headers: Mapping[str, str]) -> MutableMapping[str, Any]:
    """Return the ASGI message that begins an answer."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}
