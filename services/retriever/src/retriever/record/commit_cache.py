"""Cache of the record's answers, valid until the next commit."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class TurnVersion:
    """The store's version, read once in a turn of the event loop, for coroutines alone. What tells
    one of a later commit wakes it behind the callback that forgets the version."""

    def __init__(self, version: Callable[[], int | None]) -> None:
        """`version`: see Database.version."""
        self._version = version
        self._held: int | None = None

    def __call__(self) -> int | None:
        """Return the version."""
        if self._held is None and (version := self._version()) is not None:
            asyncio.get_running_loop().call_soon(self._forget)
            self._held = version
        return self._held

    def _forget(self) -> None:
        self._held = None


class CommitCache(Generic[T]):
    """Cache of answers, dropped as a whole at the next commit."""

    def __init__(self, version: Callable[[], int | None]) -> None:
        """Create an empty cache. `version`: see Database.version; None disables caching."""
        self._version = version
        self._held: tuple[int, dict[Hashable, T]] = (0, {})

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """Return the cached answer, else that of `ask`. None is not cached, since the number of
        missing items that callers can ask for is unbounded."""
        version = self._version()  # read before `ask`: a commit in between makes the answer stale
        if version is None:
            return await ask()
        held, answers = self._held
        if held == version and question in answers:
            return answers[question]
        answer = await ask()
        if answer is not None:
            if self._held[0] != version:
                self._held = version, {}
            self._held[1][question] = answer
        return answer
