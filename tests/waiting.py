"""Waiting for what other tasks and processes do."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

SECONDS = 180.0
"""How long anything may take on a busy machine: a test that waits in vain fails, and says nothing
of speed."""

SHORTEST, LONGEST = 0.002, 0.2
"""Seconds between two looks: at first, and in the end."""


async def until(check: Callable[[], Awaitable[Any] | Any], seconds: float = SECONDS) -> None:
    """Wait until `check`, or what it returns to be awaited, is true."""
    end, pause = time.monotonic() + seconds, SHORTEST
    while True:
        found = check()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST)  # a look takes the processor from what is awaited
