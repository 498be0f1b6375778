"""Notices of commits to a SQLite file, by any process of this machine. Used through
`servicekit.sql.database`.

After each commit a process opens and closes a file beside the store, which the kernel reports to
the processes that watch the folder (https://man7.org/linux/man-pages/man7/inotify.7.html).
"""

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path
from typing import Final

CLOSE_WRITE: Final = 0x8
"""IN_CLOSE_WRITE: a file that was open for writing was closed."""
PAUSE_SECONDS: Final = 0.02
"""Minimum seconds between two notices, so that many commits wake a process rarely."""


class Commits:
    """Notices of commits to one file, in one event loop."""

    def __init__(self, file: Path) -> None:
        self._noted = file.with_name(f"{file.name}.commits")
        self._events: list[asyncio.Event] = []
        self._watch = -1
        self._loop: asyncio.AbstractEventLoop | None = None

    def announce(self) -> None:
        """Notify all processes, from any thread. Call it after a commit."""
        with contextlib.suppress(OSError):  # a full disk: no file can be created
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            os.close(os.open(self._noted, flags, 0o600))

    def watch(self) -> asyncio.Event | None:
        """Return an event that is set after each later commit, until `close`; None if the system
        reports no commits. Several commits may set it once, and it may be set without a commit."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self.close()
            watch = _watch(self._noted.parent)
            if watch < 0:
                return None
            self._watch, self._loop = watch, loop
            loop.add_reader(watch, self._notice)
        self._events.append(event := asyncio.Event())
        return event

    def close(self) -> None:
        """End all notices."""
        if self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._watch)
            os.close(self._watch)
        self._loop, self._watch = None, -1
        self._events.clear()

    def _notice(self) -> None:
        os.read(self._watch, 65_536)
        for event in self._events:
            event.set()
        loop, watch = asyncio.get_running_loop(), self._watch
        loop.remove_reader(watch)
        loop.call_later(PAUSE_SECONDS, self._resume, watch)

    def _resume(self, watch: int) -> None:
        if watch == self._watch:
            asyncio.get_running_loop().add_reader(watch, self._notice)


def _watch(folder: Path) -> int:
    """Return a descriptor that is readable after a file of a folder was written; -1: none."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "inotify_init1"):
        return -1
    watch: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(folder), CLOSE_WRITE) < 0:
        os.close(watch)
        return -1
    return watch
