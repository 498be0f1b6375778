"""Calls of one request that run one at a time."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

one_at_a_time: ContextVar[asyncio.Lock | None] = ContextVar("one_at_a_time", default=None)
"""Lock that lets one call of an expensive request run at a time: a peer works on calls in the order
in which they arrive, so that other requests go between them. `None`: no bound."""


async def in_turn(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Make a call; for an expensive request, once its other calls have ended."""
    if (alone := one_at_a_time.get()) is None:
        return await start()
    async with alone:
        return await start()
