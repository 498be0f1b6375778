"""Frames of a live camera, read in a thread, of which the newest are kept."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock, Thread

from sightline_client.values.watches import WatchFrame

MOST = 8
"""Frames that wait at most, and that are taken together."""
MOST_BYTES = 11 * 2**20
"""Bytes of photos that are taken together, which fit a message of a stream."""


class NewestFrames:
    """Frames that wait to be sent: while more arrive than are taken, the oldest are dropped."""

    def __init__(self, frames: Iterable[WatchFrame]) -> None:
        """Begin to read. Requires a running event loop."""
        self._frames = frames
        self._loop = asyncio.get_running_loop()
        self._lock, self._changed = Lock(), asyncio.Event()
        self._waiting: deque[WatchFrame] = deque()
        self._dropped = 0
        self._ended = False
        self._error: Exception | None = None
        Thread(target=self._read, name="frames", daemon=True).start()

    def close(self) -> None:
        """Stop reading, once the camera has given its next frame."""
        self._ended = True

    async def take(self) -> tuple[list[WatchFrame], int]:
        """Return the oldest frames that wait, and the number of those dropped since the last call;
        no frames: there are no more. Raises the error that the camera raised."""
        while True:
            with self._lock:
                self._changed.clear()
                taken, size = list[WatchFrame](), 0
                while self._waiting:
                    size += len(self._waiting[0].image)
                    if taken and size > MOST_BYTES:
                        break
                    taken.append(self._waiting.popleft())
                dropped = self._dropped
                if taken or self._ended:
                    self._dropped = 0
                    if not taken and self._error is not None:
                        raise self._error
                    return taken, dropped
            await self._changed.wait()

    def _read(self) -> None:
        try:
            for frame in self._frames:
                if self._ended:
                    return
                time = frame.frame_time or datetime.now(UTC)
                with self._lock:
                    self._waiting.append(replace(frame, frame_time=time))
                    if len(self._waiting) > MOST:
                        self._waiting.popleft()
                        self._dropped += 1
                self._tell()
        except Exception as error:
            self._error = error
        finally:
            self._ended = True
            self._tell()

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(self._changed.set)
