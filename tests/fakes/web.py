"""A web server that answers with the bytes that a test wants, well-formed or not."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Writer = asyncio.StreamWriter


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Return a whole HTTP answer; its headers, such as `content_length`, may be wrong."""
    named = {"content-length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class FakeWeb:
    """Web server with fixed answers by path."""

    pages: dict[str, bytes | Callable[[Writer], object]] = field(default_factory=dict)
    """An answer, or what writes it."""
    requests: list[bytes] = field(default_factory=list)
    """The heads of all requests."""
    bodies: list[bytes] = field(default_factory=list)
    """The bodies of requests that have one."""
    tls: ssl.SSLContext | None = None
    port: int = 0
    server: asyncio.Server | None = None
    calls: set[asyncio.Task[object]] = field(default_factory=set)
    """The requests that are being answered: an answer that hangs is ended with the server."""

    def stop(self) -> None:
        """Give the port up."""
        if self.server is not None:
            self.server.close()

    def url(self, path: str, host: str = "photos.test", scheme: str = "http") -> str:
        """Return an address on this server."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        call = asyncio.current_task()
        assert call is not None
        self.calls.add(call)
        call.add_done_callback(self.calls.discard)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            if size := re.search(rb"content-length: ([0-9]+)", head.lower()):
                self.bodies.append(await reader.readexactly(int(size[1])))
            page = self.pages.get(head.split()[1].decode(), answer(status="404 Not Found"))
            if isinstance(page, bytes):
                writer.write(page)
                await writer.drain()
            else:
                await page(writer)  # type: ignore[misc]
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeWeb"]:
        """Serve on a port of this machine."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.stop()
            for call in self.calls:
                call.cancel()
            await asyncio.gather(*self.calls, return_exceptions=True)
