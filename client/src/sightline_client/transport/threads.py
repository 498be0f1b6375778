"""Blocking work in threads."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Run blocking work in a thread and return its result.

    When cancelled, wait until the thread has ended, because no thread can be stopped and the caller
    may then close what the work uses. A database that is closed while a thread queries it crashes
    the process (CPython 3.11's sqlite3).
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.gather(working, return_exceptions=True)
        raise
