"""Metrics of the HTTP server for Prometheus."""

import time

from prometheus_client import Gauge, Histogram, start_http_server
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = Histogram(
    "sightline_agents_request_seconds",
    "Time from a request's arrival to the end of its answer, by protocol (mcp or other) and HTTP"
    " status. Errors of MCP's tools have the status 200; sightline_agents_tool_errors_total"
    " counts them.",
    ["protocol", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_OPEN = Gauge("sightline_agents_requests_in_flight", "Requests in progress.")
_ABANDONED = "499"
"""Status of a request whose client left before an answer began."""


def expose(host: str, port: int) -> None:
    """Serve the metrics of this process from now on, in a thread. Port 0: nowhere."""
    if port:
        start_http_server(port, host)


class Measured:
    """Middleware that measures each request."""

    def __init__(self, app: ASGIApp, unmeasured: str) -> None:
        """`unmeasured`: path of probes."""
        self._app, self._unmeasured = app, unmeasured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; see asgi.readthedocs.io."""
        if scope["type"] != "http" or scope["path"] == self._unmeasured:
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), _ABANDONED

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        with _OPEN.track_inprogress():
            try:
                await self._app(scope, receive, observed)
            except Exception:
                status = "500"  # which is answered further out
                raise
            finally:
                protocol = "mcp" if scope["path"].split("/", 2)[1] == "mcp" else "other"
                _SECONDS.labels(protocol, status).observe(time.perf_counter() - began)
