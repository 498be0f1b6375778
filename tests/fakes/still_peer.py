"""A peer that hangs like a stopped process: its kernel accepts data, and no answer comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import cast

_SETTINGS = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"
"""HTTP/2 frames (RFC 9113, 6.5): no settings of its own, and those of the other side are known."""
_GREETING_BYTES = 24 + 9
"""First bytes of the other side: the preface and the head of its settings."""


@dataclass(frozen=True, slots=True)
class StillPeer:
    """Peer that greets its first connection and then stops responding."""

    port: int
    greeted: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other side closed the connection."""


@asynccontextmanager
async def still_peer() -> AsyncIterator[StillPeer]:
    """Run such a peer on 127.0.0.1 during the block."""

    taken: list[asyncio.Task[None]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(cast(asyncio.Task[None], asyncio.current_task()))
        first = not peer.greeted.is_set()
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            if first:
                await reader.readexactly(_GREETING_BYTES)
                writer.write(_SETTINGS)
                peer.greeted.set()
            while await reader.read(2**16):
                pass
        if first:
            peer.left.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    peer = StillPeer(server.sockets[0].getsockname()[1])
    try:
        yield peer
    finally:
        server.close()
        for task in taken:
            task.cancel()
        await asyncio.gather(*taken, return_exceptions=True)
