"""Concurrent batches, answered in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import grpc

from sightline_client.errors import DeadlineExceeded, ResourceExhausted, SightlineError, Unavailable

B = TypeVar("B")
R = TypeVar("R")

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 10.0


async def in_flight(
    batches: AsyncIterator[B], send: Callable[[B], Awaitable[R]], limit: int
) -> AsyncIterator[tuple[B, R]]:
    """Yield each batch with its answer, in order, with at most ``limit`` calls in flight. Batches
    are read lazily. The first failure ends it and cancels the calls in flight."""
    waiting: deque[tuple[B, asyncio.Future[R]]] = deque()
    try:
        async for batch in batches:
            waiting.append((batch, asyncio.ensure_future(send(batch))))
            if len(waiting) == limit:
                first, task = waiting.popleft()
                yield first, await task
        while waiting:
            first, task = waiting.popleft()
            yield first, await task
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


async def patiently(
    call: Callable[[], Awaitable[R]],
    patience: float,
    report: Callable[[SightlineError, float], None] | None = None,
) -> R:
    """Return the call's answer. While the suite is unavailable or too busy, retry for up to
    ``patience`` seconds; only for calls that may be repeated. ``report`` is called before each wait
    with the error and the seconds left."""
    until = asyncio.get_running_loop().time() + patience
    wait = _FIRST_WAIT
    while True:
        try:
            return await call()
        except (Unavailable, ResourceExhausted, DeadlineExceeded) as error:
            pause = max(wait, (error.retry_after or timedelta()).total_seconds())
            left = until - asyncio.get_running_loop().time()
            if _hopeless(error) or pause > left:
                raise
            if report is not None:
                report(error, left)
            await asyncio.sleep(pause)
            wait = min(wait * 2, _LONGEST_WAIT)


def _hopeless(error: SightlineError) -> bool:
    """Return whether a retry is useless: exhausted resources without a retry delay."""
    exhausted = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    return exhausted and error.retry_after is None
