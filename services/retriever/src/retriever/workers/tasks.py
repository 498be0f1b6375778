"""Tasks that run while a worker leads, and the backoff of failed work."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from servicekit.errors import ServiceError
from servicekit.liveness import LIVENESS
from servicekit.telemetry import get_logger

log = get_logger()


class Tasks:
    """The tasks of one period of leadership."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self.stopping = False
        """True when leadership has ended. Cancelling alone is not enough: pymilvus calls
        asyncio.wait_for, which in Python 3.11 swallows a cancellation that arrives together with
        the answer (python/cpython#86296)."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task.

        Raises CancelledError if leadership has ended and the caller's own cancellation was
        swallowed (see `stopping`).
        """
        try:
            return self._group.create_task(work)
        except RuntimeError:  # the group accepts no more tasks
            work.close()
            raise asyncio.CancelledError from None

    async def repeat(
        self,
        step: Callable[[], Awaitable[bool]],
        wake: asyncio.Event,
        turn: float | None,
        alive: str = "",
    ) -> None:
        """Repeat a step: immediately while it returns that there was work, otherwise when `wake` is
        set or after `turn` seconds. Failed steps are retried after a backoff.

        `alive`: name under which each step is reported to servicekit.liveness, so that a hung step
        is detected; empty: not reported.
        """
        backoff = Backoff(0.1, 2.0)
        while not self.stopping:
            if alive:
                LIVENESS.report(alive)
            wake.clear()  # before the step, so that work that arrives during it is not missed
            try:
                worked = await step()
            except ServiceError as error:  # the record does not answer
                seconds = backoff.fail()
                log.warning("waiting", reason=error.reason, seconds=round(seconds, 2))
                await asyncio.sleep(seconds)
                continue
            backoff.reset()
            if not worked and not self.stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(turn):
                        await wake.wait()


class Backoff:
    """Seconds to wait after failures in a row: doubling from `first` to `longest`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def reset(self) -> None:
        """Start again from the first wait, after a success."""
        self._next = self._first

    def fail(self) -> float:
        """Return the seconds to wait after this failure, and double the next wait."""
        seconds = self._next
        self._next = min(self._longest, self._next * 2)
        return seconds


class KeyedBackoff:
    """A backoff for each key: a failing key waits without delaying others."""

    def __init__(self, first: float, longest: float) -> None:
        self.failed: Callable[[], None] = lambda: None
        """Called after each failure."""
        self._waits = first, longest
        self._failed: dict[str, tuple[Backoff, float]] = {}

    def __bool__(self) -> bool:
        """Return whether any key has failed since its last success."""
        return bool(self._failed)

    def ready(self, key: str) -> bool:
        """Return whether a key may be tried (again)."""
        return key not in self._failed or time.monotonic() >= self._failed[key][1]

    def succeed(self, key: str) -> None:
        """Forget a key's failures, after a success."""
        self._failed.pop(key, None)

    def fail(self, key: str, error: Exception) -> None:
        """Note a key's failure, log it, and delay the key's next attempt."""
        backoff = self._failed[key][0] if key in self._failed else Backoff(*self._waits)
        seconds = backoff.fail()
        self._failed[key] = backoff, time.monotonic() + seconds
        reason = getattr(error, "reason", type(error).__name__)
        log.warning("waiting", part=key, reason=reason, seconds=round(seconds, 2))
        self.failed()
