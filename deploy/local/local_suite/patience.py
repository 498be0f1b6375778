"""How long a start of the suite may take."""

from __future__ import annotations

import time
from collections.abc import Callable

STUCK_SECONDS = 120.0
"""How long a start may go on without progress: a program that answers, or `_WORK_SECONDS` of
processor time spent by the suite. On a loaded machine every process imports for long."""
_WORK_SECONDS = 1.0
_SAY_SECONDS = 15.0


class StartPatience:
    """Limits of waiting for a start."""

    def __init__(self, spent: Callable[[], float], seconds: float) -> None:
        """`spent`: seconds of processor time of all processes so far; `seconds`: at most."""
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
        """Return why waiting ends, or an empty text to go on."""
        if self.waited > self._seconds:
            return f"in {self._seconds:.0f} s"
        if time.monotonic() - self._renewed > STUCK_SECONDS:
            return f"and nothing went on for {STUCK_SECONDS:.0f} s"
        return ""
