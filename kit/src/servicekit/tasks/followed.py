"""Values that are followed: one read at a time serves all followers of a value."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from servicekit.tasks.supervision import Backoff, LoopEnded, supervised

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class _Followed(Generic[V]):
    """A value as it was last read."""

    value: V
    followers: int = 0
    polling: asyncio.Task[None] | None = None
    error: Exception | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, value: V) -> None:
        if value != self.value:
            self.value = value
            self.wake()

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class FollowedValues(Generic[K, V]):
    """Values by key, which are read again while they have followers. Not for several event
    loops."""

    def __init__(
        self,
        loop: str,
        read: Callable[[K], Awaitable[V]],
        seconds: float,
        *,
        is_last: Callable[[V], bool] = lambda _: False,
        repeats: bool = False,
    ) -> None:
        """`loop`: see servicekit.tasks.supervision. `seconds`: time between two reads. `is_last`:
        whether a value changes no more. `repeats`: a failed read is told, and the next one follows;
        otherwise the followers get its error."""
        self._loop, self._read, self._seconds = loop, read, seconds
        self._is_last, self._repeats = is_last, repeats
        self._followed: dict[K, _Followed[V]] = {}

    async def follow(self, key: K, value: V) -> AsyncGenerator[V, None]:
        """Yield a value that was read just now, then its changes up to the last one. A slow
        follower misses values, but never the newest one.

        Raises what `read` raises, unless that is repeated.
        """
        followed = self._join(key, value)
        try:
            yield value
            while not self._is_last(value):
                while followed.value == value:
                    if followed.error is not None:
                        raise followed.error
                    await followed.changed.wait()
                value = followed.value
                yield value
        finally:
            followed.followers -= 1
            if not followed.followers and followed.polling is not None:
                followed.polling.cancel()
                self._forget(key, followed)

    def _join(self, key: K, value: V) -> _Followed[V]:
        followed = self._followed.get(key)
        if followed is None:
            followed = self._followed[key] = _Followed(value)
            # Its context is not that of the first follower, which may leave before the others.
            polling = self._poll(key, followed)
            followed.polling = asyncio.create_task(polling, context=Context())
        followed.publish(value)
        followed.followers += 1
        return followed

    async def _poll(self, key: K, followed: _Followed[V]) -> None:
        """Read a value until it is the last one, or can't be read."""

        async def step() -> None:
            await asyncio.sleep(self._seconds)
            try:
                followed.publish(await self._read(key))
            except Exception as error:
                if self._repeats:
                    raise
                followed.error = error
                followed.wake()
            if followed.error is not None or self._is_last(followed.value):
                raise LoopEnded

        try:
            await supervised(self._loop, step, Backoff(0.0, 0.0))
        except LoopEnded:
            self._forget(key, followed)

    def _forget(self, key: K, followed: _Followed[V]) -> None:
        """Let later followers begin anew."""
        if self._followed.get(key) is followed:
            del self._followed[key]
