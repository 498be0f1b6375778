"""How long to wait before failed work is tried again."""

import time

from servicekit.telemetry import get_logger

log = get_logger()


class Backoff:
    """Seconds to wait after failures in a row: doubling from `first` to `longest`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def reset(self) -> None:
        """After a success."""
        self._next = self._first

    def fail(self) -> float:
        """How long to wait after this failure."""
        seconds = self._next
        self._next = min(self._longest, self._next * 2)
        return seconds


class KeyedBackoff:
    """A backoff for each key: what fails waits, and holds up nothing else."""

    def __init__(self, first: float, longest: float) -> None:
        self._waits = first, longest
        self._failed: dict[str, tuple[Backoff, float]] = {}

    def __bool__(self) -> bool:
        """Whether any key waits, or is to be tried again."""
        return bool(self._failed)

    def ready(self, key: str) -> bool:
        """Whether it may be tried (again)."""
        return key not in self._failed or time.monotonic() >= self._failed[key][1]

    def succeed(self, key: str) -> None:
        """After a success."""
        self._failed.pop(key, None)

    def fail(self, key: str, error: Exception) -> None:
        """After a failure."""
        backoff = self._failed[key][0] if key in self._failed else Backoff(*self._waits)
        seconds = backoff.fail()
        self._failed[key] = backoff, time.monotonic() + seconds
        reason = getattr(error, "reason", type(error).__name__)
        log.warning("waiting", part=key, reason=reason, seconds=round(seconds, 2))
