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
from servicekit.errors import Unavailable
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
    wait: float = 0.0
    """Maximum time for which a call waits for a newer value than one that is no longer fresh."""


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
    error: Exception | None = None
    """Error of the last read that ended, if it failed."""


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
        fresh: float | None = None,
    ) -> V | None:
        """Return the value of a key; None: there is none that may be used.

        `read` is started if the value is missing or no longer fresh; failures are logged and
        counted. Without a usable value, or `anew`, it is awaited for at most `patience` seconds;
        otherwise as the rules say. `anew`: a value of a read that starts now is wanted, whatever
        runs or is held. `fresh`: instead of that of the rules, if it is shorter.
        """
        entry = self._entries.setdefault(key, _Entry())
        await self._bring_up(entry, read, patience, anew=anew, fresh=fresh)
        return self._usable(entry)

    async def require(
        self, key: K, read: Callable[[], Awaitable[V]], *, fresh: float | None = None
    ) -> V:
        """Return the value of a key as `get` does. If there is none, raise why the read failed:
        Unavailable if it takes too long."""
        entry = self._entries.setdefault(key, _Entry())
        await self._bring_up(entry, read, fresh=fresh)
        if (found := self._usable(entry)) is None:
            if entry.error is None or isinstance(entry.error, TimeoutError):
                raise Unavailable(
                    f"reading {self._name} takes too long: try again later", reason="STORE_BUSY"
                ) from entry.error
            raise entry.error
        return found

    def expire(self, key: K) -> None:
        """Have a value read again at its next use; what was read until then stays in use, but for
        reads under way."""
        if (entry := self._entries.get(key)) is not None:
            entry.due, entry.taken, entry.task = -float("inf"), entry.started, None

    def peek(self, key: K) -> V | None:
        """Return the value of a key without a read; None: there is none that may be used."""
        entry = self._entries.get(key)
        return None if entry is None else self._usable(entry)

    def forget(self, key: K) -> None:
        """Drop the value of a key, and those of its reads under way."""
        self._entries.pop(key, None)

    async def _bring_up(
        self,
        entry: _Entry[V],
        read: Callable[[], Awaitable[V]],
        patience: float = float("inf"),
        *,
        anew: bool = False,
        fresh: float | None = None,
    ) -> None:
        """Read a value again if that is due, and wait for it if that is necessary."""
        now, rules = self._clock(), self._rules
        due = now >= entry.due or (fresh is not None and now >= entry.read_at + fresh)
        if anew or (due and (entry.task is None or entry.task.done())):
            entry.started += 1
            reading = self._read(entry, entry.started, read)
            entry.task = asyncio.create_task(reading, context=Context())
        if entry.task is None:
            return
        if anew or self._usable(entry) is None:
            await asyncio.wait({entry.task}, timeout=min(patience, rules.longest))
        elif due and rules.wait:
            await asyncio.wait({entry.task}, timeout=rules.wait)

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
            if number > entry.taken:
                entry.error = error.with_traceback(None)  # its frames would be held
                entry.due = self._clock() + rules.again
            return
        if number > entry.taken:
            entry.value, entry.read_at, entry.taken, entry.error = value, began, number, None
            entry.due = self._clock() + rules.fresh
