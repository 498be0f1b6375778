"""Writer of log lines: each line is written whole, in order of arrival."""

import asyncio
import contextlib
import threading
from typing import TextIO

SECONDS = 0.05
"""Maximum seconds that a line waits to be written together with others."""

_MOST = 256
"""Maximum number of waiting lines; the next one is written at once."""


class LogWriter:
    """Log writer that buffers the lines of an event loop: one write costs as much as 20 lines.

    Lines that can't be written are dropped: no call fails because of its log.
    """

    def __init__(self, stream: TextIO) -> None:
        """`stream` receives the lines; the creator calls `flush` at the end."""
        self._stream = stream
        self._lock = threading.Lock()
        self._held: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop that has scheduled a write; `None` if none has."""

    def soon(self, line: str) -> None:
        """Write `line` within SECONDS if this thread runs an event loop, else at once."""
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
        """Write `line`, after all earlier lines."""
        with self._lock:
            self._held.append(line)
            self._write()

    def flush(self) -> None:
        """Write the buffered lines."""
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
