"""Answers of the record, kept for as long as it says the same."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Answers(Generic[T]):
    """Answers of the record, each kept until anybody commits anything."""

    def __init__(self, version: Callable[[], int | None]) -> None:
        """`version`: see Database.version; while it is None, nothing is kept."""
        self._version = version
        self._held: tuple[int, dict[Hashable, T]] = (0, {})

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """The answer to the question: the one that is kept, or what `ask` brings; None is not kept.

        Callers may ask for what there is not, and so for anything.
        """
        version = self._version()  # before asking: a commit meanwhile makes the answer too old
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
