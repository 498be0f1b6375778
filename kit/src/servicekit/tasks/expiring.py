"""Values that are dropped after some seconds, also when nobody asks for them again."""

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ExpiringValues(Generic[K, V]):
    """A bounded map whose values leave memory at the end of their term. For one event loop."""

    def __init__(
        self, seconds: float, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`most`: number of values above which the oldest one is dropped."""
        self._seconds, self._most, self._clock = seconds, most, clock
        self._held: dict[K, tuple[float, V]] = {}
        """Oldest first, each with the end of its term."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: K) -> V | None:
        """Return a value; None if there is none, or its term is over."""
        end, value = self._held.get(key, (0.0, None))
        return value if self._clock() < end else None

    def put(self, key: K, value: V) -> None:
        """Keep a value from now on. Requires a running event loop."""
        self.pop(key)
        if len(self._held) >= self._most:
            del self._held[next(iter(self._held))]
        self._held[key] = self._clock() + self._seconds, value
        self._wait(self._seconds)

    def pop(self, key: K) -> None:
        """Drop a value, if there is one."""
        self._held.pop(key, None)

    def drop(self, which: Callable[[K], bool]) -> None:
        """Drop all values whose keys are chosen."""
        for key in [key for key in self._held if which(key)]:
            del self._held[key]

    def _wait(self, seconds: float) -> None:
        if self._timer is None:
            # In a separate context: the values belong to no single request.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._expire, context=Context())

    def _expire(self) -> None:
        self._timer, now = None, self._clock()
        while self._held:
            key, (end, _) = next(iter(self._held.items()))
            if now < end:
                self._wait(end - now)
                return
            del self._held[key]
