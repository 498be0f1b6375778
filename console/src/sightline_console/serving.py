"""The HTTP server."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

MAX_CONNECTIONS = 1_000
"""Maximum number of connections; further requests are answered with 503."""


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


async def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress have 10 s to end."""
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
