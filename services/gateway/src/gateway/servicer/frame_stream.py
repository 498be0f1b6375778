"""Frames of a live camera, as a stream of messages: the newest are checked in turn."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Final

from servicekit.admission import costs
from servicekit.admission.memory_budget import HeldBytes, hold
from servicekit.rpc.requests import RequestInvalid
from sightline.gateway.v1.watch_service_pb2 import StreamFramesRequest
from sightline.retriever.v1.watch_service_pb2 import SendFramesResponse

MOST_WAITING: Final = 2
"""Messages that wait while one is checked, as many as calls of SendFrames at the retriever."""
MOST_DROPPED: Final = 1_000_000
"""Dropped frames that a message can tell of."""

Check = Callable[[StreamFramesRequest], Awaitable[SendFramesResponse]]


async def checked(
    messages: AsyncIterator[StreamFramesRequest], check: Check
) -> AsyncGenerator[SendFramesResponse, None]:
    """Yield the answer to each message, less those that were dropped because newer ones waited.

    Raises what `check` raises, and RequestInvalid for a message of another watch than the first.
    """
    waiting = _Waiting()
    reading = asyncio.create_task(waiting.read(messages))
    try:
        while (taken := await waiting.take()) is not None:
            try:
                # A task of its own: the context of the message has its caller's quota.
                work = _measured(check, taken.request)
                answer = await asyncio.create_task(work, context=taken.context)
            finally:
                taken.held.shrink(0)
            answer.dropped_count = taken.dropped
            yield answer
        await reading  # raises why reading ended
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        waiting.clear()


async def _measured(check: Check, request: StreamFramesRequest) -> Any:
    """Check a message with a cost of its own, by which it is charged: not that of the stream."""
    cost = costs.Cost()
    costs.current.set(cost)
    return await costs.Measured(_awaited(check, request), cost)


async def _awaited(check: Check, request: StreamFramesRequest) -> SendFramesResponse:
    return await check(request)


@dataclass(slots=True)
class _Message:
    """A message that was read."""

    request: StreamFramesRequest
    held: HeldBytes
    context: Context
    """Context in which it was read."""
    dropped: int = 0
    """Frames that were dropped before it."""

    def follow(self, before: "_Message") -> None:
        """Count the frames of the message before it as dropped, here and for the watch."""
        frames, told = len(before.request.frames), before.request.dropped_count
        self.dropped = before.dropped + frames
        told += frames + self.request.dropped_count
        self.request.dropped_count = min(told, MOST_DROPPED)


class _Waiting:
    """Messages that were read and not checked, at most MOST_WAITING."""

    def __init__(self) -> None:
        self._messages: deque[_Message] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    async def read(self, messages: AsyncIterator[StreamFramesRequest]) -> None:
        """Read messages to their end."""
        first = None
        try:
            async for request in messages:
                watch = request.catalog_id, request.watch_id
                if watch != (first := first or watch):
                    raise RequestInvalid.at("watch_id", "must be that of the first message")
                held = await hold(request.ByteSize())
                self._messages.append(_Message(request, held, copy_context()))
                if len(self._messages) > MOST_WAITING:
                    oldest = self._messages.popleft()
                    oldest.held.shrink(0)
                    self._messages[0].follow(oldest)
                self._changed.set()
        finally:
            self._ended = True
            self._changed.set()

    async def take(self) -> _Message | None:
        """Return the oldest message once there is one; None: there are no more."""
        while not self._messages:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._messages.popleft()

    def clear(self) -> None:
        """Return the bytes of all messages."""
        while self._messages:
            self._messages.pop().held.shrink(0)
