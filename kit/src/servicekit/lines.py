"""Log lines on their way to stderr: each whole, in the order in which they came."""

import asyncio
import contextlib
import threading
from typing import TextIO

SECONDS = 0.05
"""The longest that a line waits for others to be written with."""

_MOST = 256
"""Lines that wait at most."""


class Lines:
    """Writes lines, those of an event loop a few at a time: one write costs as much as 20 lines.

    What can't be written is dropped: a call does not fail because nobody reads its log.
    """

    def __init__(self, stream: TextIO) -> None:
        """To `stream`; whoever made this calls `flush` at the end."""
        self._stream = stream
        self._lock = threading.Lock()
        self._held: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that will write what is held; None = none will."""

    def soon(self, line: str) -> None:
        """Write `line` within SECONDS when an event loop runs here, else at once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.now(line)
            return
        with self._lock:
            self._held.append(line)
            if len(self._held) >= _MOST:
                self._write()
            elif self._loop is not loop:
                self._loop = loop
                loop.call_later(SECONDS, self._due, loop)

    def now(self, line: str) -> None:
        """Write `line`, after all that came before it."""
        with self._lock:
            self._held.append(line)
            self._write()

    def flush(self) -> None:
        """Write what is held."""
        with self._lock:
            self._write()

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._loop is loop:
                self._loop = None
            self._write()

    def _write(self) -> None:
        if not self._held:
            return
        text = "\n".join((*self._held, ""))
        self._held.clear()
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)
            self._stream.flush()

    # The methods of a structlog logger.
    debug = info = soon
    warning = error = critical = now
