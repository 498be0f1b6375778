"""Servers that a test calls over the network, or within the process (the fixture `way`)."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from servicekit.config import LOCAL
from servicekit.rpc import hosting
from servicekit.rpc.server import RunningServer

NETWORK, IN_PROCESS = "network", "process"
WAY = [NETWORK]
"""Way in which servers of the current test are called."""


@asynccontextmanager
async def served(service: str, starting: Coroutine[Any, Any, RunningServer]) -> AsyncIterator[str]:
    """Run a server during the block. Yield its target, which the block connects to."""
    local = WAY[0] == IN_PROCESS
    hosted = hosting.running.set(hosting.Host() if local else None)
    try:
        running = await starting
        try:
            yield f"{LOCAL}{service}" if local else f"127.0.0.1:{running.port}"
        finally:
            await running.stop()
    finally:
        hosting.running.reset(hosted)
