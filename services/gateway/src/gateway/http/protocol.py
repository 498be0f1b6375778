"""HTTP/1.1 connections with limits that uvicorn lacks: heads, idle connections and slow readers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.problems import problem
from servicekit.errors import InvalidArgument

HEAD_BYTES = 2**14
"""Maximum bytes of a request's first line and headers: as much as gRPC accepts, and a long path."""
HEADERS = 100
"""Maximum number of headers."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of each connection of a server."""

    most: int
    """Maximum number of connections. A further one takes the place of the one that has waited
    longest for a request; if none waits, it is closed at once."""
    head_seconds: float
    """Seconds in which the head of a request has to arrive, and, after an answer that needed no
    more, the rest of its body, which is dropped. A connection that is closed before would lose the
    answer."""
    reader_seconds: float
    """Seconds for which a client may leave an answer unread."""


class LimitedProtocol(HttpToolsProtocol):
    """A connection of a client."""

    limits = ConnectionLimits(4_000, 10.0, 30.0)
    waiting: ClassVar[dict[LimitedProtocol, None]]
    """Connections of this server without a request, in the order in which they began to wait."""

    def connection_made(self, transport: Any) -> None:
        """Begin a connection, unless there are too many requests."""
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._head_bytes, self._in_head, self._completed = 0, True, False
        super().connection_made(transport)
        if len(self.connections) > self.limits.most and not self._make_room():
            transport.abort()
            return
        self.waiting[self] = None
        self._await_head()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest. Return whether there was one."""
        oldest = next(iter(self.waiting), None)
        if oldest is not None:
            del self.waiting[oldest]
            oldest.transport.abort()
        return oldest is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self.waiting.pop(self, None)
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read bytes; refuse a head that is too long."""
        if self.transport.is_closing():
            return
        self._completed = False
        super().data_received(data)
        # Bytes after the end of a request are not counted: they are part of one read.
        if self._in_head and not self._completed:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head = True
        super().on_message_begin()
        if self._head is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Begin to answer a request, unless its head is too long."""
        self._in_head, self._head_bytes = False, 0
        self.waiting.pop(self, None)
        if self._head is not None:
            self._head.cancel()
            self._head = None
        size = len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers)
        if size > HEAD_BYTES or len(self.headers) > HEADERS:
            self._refuse_head()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; that of a refused request is dropped."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; the next bytes are a head."""
        self._in_head = self._completed = True
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer; the rest of its request may still come, for a limited time."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self.waiting[self] = None
        if not self._in_head and self._rest is None:
            self._rest = self.loop.call_later(self.limits.head_seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """Wait for a slow reader, for a limited time."""
        super().pause_writing()
        seconds = self.limits.reader_seconds
        self._unread = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue, as the reader has read."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP."""
        self._answer(400, "HTTP_MALFORMED", msg)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self.limits.head_seconds, self.transport.abort)

    def _refuse_head(self) -> None:
        self._cancel()
        self._answer(431, "HEAD_TOO_LARGE", f"the head of a request has at most {HEAD_BYTES} bytes")

    def _answer(self, status: int, reason: str, detail: str) -> None:
        """Write a problem and close, unless an answer has begun."""
        if self.transport.is_closing():
            return
        body = orjson.dumps(problem(InvalidArgument(detail, reason=reason), "", status))
        head = (
            f"HTTP/1.1 {status} Bad Request\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _cancel(self) -> None:
        for timer in (self._head, self._unread, self._rest):
            if timer is not None:
                timer.cancel()
        self._head = self._unread = self._rest = None
