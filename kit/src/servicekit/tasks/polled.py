"""Values that several followers wait for: one read at a time serves all followers of a key."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import Context
from typing import Generic, TypeVar

from servicekit.tasks.supervision import confined

K = TypeVar("K")
V = TypeVar("V")


class Polled(Generic[V]):
    """A value as it was last read, with those who wait for a change."""

    def __init__(self, value: V) -> None:
        self.value = value
        self.followers = 0
        self.polling: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def publish(self, value: V) -> None:
        """Wake the followers if the value has changed."""
        if value != self.value:
            self.value = value
            self._wake()

    def fail(self, error: Exception) -> None:
        """Fail all followers."""
        self._error = error
        self._wake()

    async def after(self, seen: V) -> V:
        """Return the value once it differs from what a follower has seen. Raises what `fail`
        got."""
        while self.value == seen:
            if self._error is not None:
                raise self._error
            await self._changed.wait()
        return self.value

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Polls(Generic[K, V]):
    """The values that are followed in this process. Not for several event loops."""

    def __init__(
        self,
        read: Callable[[K], Awaitable[V]],
        seconds: float,
        *,
        ended: Callable[[V], bool] = lambda _: False,
        loop: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`read` returns the value of a key. `ended`: whether a value changes no more. `loop`: name
        under which errors of `read` are logged and counted, after which it is read again; empty:
        all followers get them."""
        self._read, self._seconds, self._ended = read, seconds, ended
        self._loop, self._sleep = loop, sleep
        self._polled: dict[K, Polled[V]] = {}

    @contextmanager
    def follow(self, key: K, value: V) -> Iterator[Polled[V]]:
        """Provide a value that is read every few seconds while it has followers. `value`: until
        then, of the first one."""
        polled = self._polled.get(key)
        if polled is None:
            polled = self._polled[key] = Polled(value)
            # Its context is not that of the first follower, which may leave before the others.
            polled.polling = asyncio.create_task(self._poll(key, polled), context=Context())
        polled.followers += 1
        try:
            yield polled
        finally:
            polled.followers -= 1
            if not polled.followers:
                if polled.polling is not None:
                    polled.polling.cancel()
                self._forget(key, polled)

    async def _poll(self, key: K, polled: Polled[V]) -> None:
        """Read a value until it has ended or can't be read."""
        try:
            while not self._ended(polled.value):
                await self._sleep(self._seconds)
                with confined(self._loop) if self._loop else nullcontext():
                    polled.publish(await self._read(key))
        except Exception as error:
            polled.fail(error)
        finally:
            self._forget(key, polled)

    def _forget(self, key: K, polled: Polled[V]) -> None:
        """Let later followers begin anew."""
        if self._polled.get(key) is polled:
            del self._polled[key]
