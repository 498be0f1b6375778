"""Limits of the time that a start of the suite takes."""

from __future__ import annotations

import time
from collections.abc import Callable

STUCK_SECONDS = 120.0
"""Maximum seconds of a start without progress: a program that answers, or `_WORK_SECONDS` of
processor time spent by the suite. On a loaded machine imports alone take long."""
_WORK_SECONDS = 1.0
_SAY_SECONDS = 15.0


class StartPatience:
    """Time limits of a start."""

    def __init__(self, spent: Callable[[], float], seconds: float) -> None:
        """`spent`: returns the processor seconds of all processes so far; `seconds`: maximum
        wait."""
        self._spent, self._seconds = spent, seconds
        self._since = self._said = time.monotonic()
        self.renew()

    @property
    def waited(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._since

    def renew(self) -> None:
        """Record progress."""
        self._renewed, self._before = time.monotonic(), self._spent()

    def due(self) -> bool:
        """Return whether it is time to report the wait.

        Enough processor time since the last report counts as progress.
        """
        if time.monotonic() - self._said < _SAY_SECONDS:
            return False
        self._said = time.monotonic()
        if self._spent() - self._before >= _WORK_SECONDS:
            self.renew()
        return True

    def over(self) -> str:
        """Return why waiting ends; empty = continue."""
        if self.waited > self._seconds:
            return f"in {self._seconds:.0f} s"
        if time.monotonic() - self._renewed > STUCK_SECONDS:
            return f"and no progress for {STUCK_SECONDS:.0f} s"
        return ""
