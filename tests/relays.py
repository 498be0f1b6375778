"""A TCP relay before a server whose two directions treat the bytes as a test sets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeAlias

HOST = "127.0.0.1"
PIECE = 65_536
"""Bytes that are read at a time."""

Way: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]
]
"""Hands on what comes; when one of the two ends, so does their connection."""
Ways: TypeAlias = Callable[[Callable[[], None]], tuple[Way, Way]]
"""Function that returns what a new connection does with requests and with answers; its argument
cuts the connection."""


@asynccontextmanager
async def relay(target: int, ways: Ways, port: int = 0) -> AsyncIterator[int]:
    """Run a relay to the port `target`. Yield its port; 0: any free one."""
    carried: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_carry(target, ways, reader, writer))
        carried.add(task)
        task.add_done_callback(carried.discard)

    server = await asyncio.start_server(connected, HOST, port, limit=PIECE)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for each in carried:
            each.cancel()
        await asyncio.gather(*carried, return_exceptions=True)


async def _carry(
    target: int, ways: Ways, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Relay one connection until either direction ends or it is cut."""
    ends = [writer.transport]
    try:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(HOST, target, limit=PIECE)
            ends.append(back.transport)

            def cut() -> None:
                for end in ends:
                    end.abort()

            up, down = ways(cut)
            tasks = [
                asyncio.create_task(up(reader, back)),
                asyncio.create_task(down(there, writer)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for end in ends:
            end.abort()
