"""Waiting for conditions that other tasks and processes fulfil."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

Found = TypeVar("Found")

SECONDS = 180.0
"""Maximum seconds of any step on a busy machine: a test whose condition never holds fails then.
No statement about speed."""

SHORTEST, LONGEST = 0.002, 0.2
"""Seconds between two looks: at first, and in the end."""

DEADLINES = (4.0, 16.0, SECONDS)
"""Seconds of a call in which a peer hangs, so that part of the deadline is spent in any case."""

TOO_LATE = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
"""Statuses of a call whose deadline was too short: its time ended, or that of its last source."""


async def until(check: Callable[[], Awaitable[Any] | Any], seconds: float = SECONDS) -> None:
    """Wait until `check` returns a true value, or an awaitable of one."""
    end, pause = time.monotonic() + seconds, SHORTEST
    while True:
        found = check()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST)  # a look takes the processor from what is awaited


async def with_time_left(
    call: Callable[[float], Awaitable[Found]], good: Callable[[Found], bool]
) -> Found:
    """Return the first answer that is `good`, or the last one, of calls with increasing DEADLINES:
    a short one may be too short on a busy machine."""
    for seconds in DEADLINES:
        try:
            found = await call(seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() not in TOO_LATE or seconds == DEADLINES[-1]:
                raise
        else:
            if good(found) or seconds == DEADLINES[-1]:
                return found
    raise AssertionError("there are DEADLINES")
