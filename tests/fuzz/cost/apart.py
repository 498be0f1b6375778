"""Callers in a process of their own, so that their work delays no measured caller's client."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

from tests.chaos.model import NotMeasured

Calling = Callable[[Counter[str]], Awaitable[None]]
"""Calls until cancelled, and counts the outcomes. It can be pickled."""
_END_SECONDS = 20.0


@asynccontextmanager
async def apart(calling: Calling, codes: Counter[str]) -> AsyncIterator[None]:
    """Call in another process while the block runs, and add its outcomes to `codes` afterwards.
    Raise NotMeasured if the calls ended before the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(calling, there), daemon=True)
    process.start()
    there.close()
    try:
        await asyncio.to_thread(_received, here)
        yield
        if here.poll():
            raise NotMeasured("the attack ended by itself")
        here.send(None)
        codes.update(await asyncio.to_thread(_received, here))
    finally:
        process.kill()
        process.join(_END_SECONDS)


def _received(connection: Connection) -> Counter[str]:
    """Return what the other process sends. Raise NotMeasured if it ended."""
    try:
        found: Counter[str] = connection.recv()
    except EOFError:
        raise NotMeasured("the attack ended by itself") from None
    return found


def _run(calling: Calling, connection: Connection) -> None:
    """Call until the other process says so or ends, and send the outcomes."""
    connection.send(asyncio.run(_until_told(calling, connection)))


async def _until_told(calling: Calling, connection: Connection) -> Counter[str]:
    codes, told = Counter[str](), asyncio.Event()
    asyncio.get_running_loop().add_reader(connection.fileno(), told.set)
    task, wait = asyncio.ensure_future(calling(codes)), asyncio.ensure_future(told.wait())
    connection.send(Counter())
    await asyncio.wait((task, wait), return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return codes
