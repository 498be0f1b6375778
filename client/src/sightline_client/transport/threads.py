"""Blocking work beside the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What the work comes to, done in a thread.

    Called off, it waits until the thread is done, as no thread can be stopped: whoever called it
    may close what the work uses then. A database that is closed while a thread asks it takes the
    whole process down (CPython 3.11's sqlite3).
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.gather(working, return_exceptions=True)
        raise
