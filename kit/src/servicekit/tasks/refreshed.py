"""Values that are read in the background, shared by all callers, and read again when they are old.

A read belongs to no caller: it runs without a caller's deadline and request id, and goes on when
the caller that started it is cancelled. Of several reads of a key, the one that started last wins.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from servicekit import deadlines
from servicekit.tasks.supervision import tell

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RefreshRules:
    """Times of a kind of values, in seconds."""

    fresh: float
    """Time after the start of a read from which its value is read again."""
    again: float
    """Time after a failed read until the next one."""
    longest: float
    """Maximum time of a read."""
    oldest: float = float("inf")
    """Age from which a value is not used."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[V]):
    """Value of a key, with its reads."""

    value: V | None = None
    read_at: float = -float("inf")
    """When the read of `value` started."""
    taken: int = 0
    """Number of that read."""
    started: int = 0
    """Number of the newest read."""
    due: float = -float("inf")
    task: asyncio.Task[None] | None = None
    """The newest read."""


class Refreshed(Generic[K, V]):
    """Values by key. Not for several event loops."""

    def __init__(
        self, name: str, rules: RefreshRules, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`name`: of the values, for servicekit.tasks.supervision."""
        self._name, self._rules, self._clock = name, rules, clock
        self._entries: dict[K, _Entry[V]] = {}

    async def get(
        self,
        key: K,
        read: Callable[[], Awaitable[V]],
        *,
        patience: float = float("inf"),
        anew: bool = False,
    ) -> V | None:
        """Return the value of a key; None: there is none that may be used.

        `read` is started if the value is missing or no longer fresh; failures are logged and
        counted. Only without a usable value, or `anew`, is it awaited, for at most `patience`
        seconds. `anew`: a value of a read that starts now is wanted, whatever runs or is held.
        """
        entry = self._entries.setdefault(key, _Entry())
        due = self._clock() >= entry.due and (entry.task is None or entry.task.done())
        if anew or due:
            entry.started += 1
            reading = self._read(entry, entry.started, read)
            entry.task = asyncio.create_task(reading, context=Context())
        if entry.task is not None and (anew or self._usable(entry) is None):
            await asyncio.wait({entry.task}, timeout=min(patience, self._rules.longest))
        return self._usable(entry)

    def peek(self, key: K) -> V | None:
        """Return the value of a key without a read; None: there is none that may be used."""
        entry = self._entries.get(key)
        return None if entry is None else self._usable(entry)

    def forget(self, key: K) -> None:
        """Drop the value of a key, and those of its reads under way."""
        self._entries.pop(key, None)

    def _usable(self, entry: _Entry[V]) -> V | None:
        return entry.value if self._clock() - entry.read_at < self._rules.oldest else None

    async def _read(self, entry: _Entry[V], number: int, read: Callable[[], Awaitable[V]]) -> None:
        began, rules = self._clock(), self._rules
        try:
            with deadlines.within(rules.longest):
                async with asyncio.timeout(rules.longest):
                    value = await read()
        except Exception as error:  # of any kind: no caller is the cause
            tell(self._name, error)
            entry.due = self._clock() + rules.again
            return
        if number > entry.taken:
            entry.value, entry.read_at, entry.taken = value, began, number
            entry.due = self._clock() + rules.fresh
