"""Tasks that run while a worker leads, and the backoff of failed work."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from servicekit.tasks.loops import Loop
from servicekit.tasks.supervision import Backoff, LoopEnded, tell


class Tasks:
    """The tasks of one period of leadership."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._ended = asyncio.Event()

    def stop(self) -> None:
        """End the loops after their current steps. Cancelling alone is not enough: pymilvus calls
        asyncio.wait_for, which in Python 3.11 swallows a cancellation that arrives together with
        the answer (python/cpython#86296)."""
        self._ended.set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task.

        Raises CancelledError if leadership has ended and the caller's own cancellation was
        swallowed (see `stop`).
        """
        try:
            return self._group.create_task(work)
        except RuntimeError:  # the group accepts no more tasks
            work.close()
            raise asyncio.CancelledError from None

    def repeat(self, loop: Loop) -> None:
        """Start a loop."""
        self.start(loop.run(self._ended))


class KeyedBackoff:
    """A backoff for each key: a failing key waits without delaying others."""

    def __init__(self, loop: str, first: float, longest: float) -> None:
        """`loop`: name for servicekit.tasks.supervision."""
        self._loop = loop
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

    @property
    def pause(self) -> float:
        """Return the seconds until a key that may not be tried now may be; 0 without one."""
        now = time.monotonic()
        return min((at - now for _, at in self._failed.values() if at > now), default=0.0)

    @contextmanager
    def attempt(self, key: str) -> Iterator[None]:
        """Note whether the block, which works for a key, fails; go on after it."""
        try:
            yield
        except LoopEnded:
            raise
        except Exception as error:  # of any kind: the others follow
            self.fail(key, error)
        else:
            self.succeed(key)

    def succeed(self, key: str) -> None:
        """Forget a key's failures, after a success."""
        self._failed.pop(key, None)

    def fail(self, key: str, error: Exception) -> None:
        """Note a key's failure, tell it, and delay the key's next attempt."""
        backoff = self._failed[key][0] if key in self._failed else Backoff(*self._waits)
        seconds = backoff.fail()
        self._failed[key] = backoff, time.monotonic() + seconds
        tell(self._loop, error, part=key)
        self.failed()
