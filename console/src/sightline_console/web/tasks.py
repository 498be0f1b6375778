"""Work that goes on after the answer to the request that began it."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Generic, TypeVar

from sightline_console.web.forms import FormRejected

T = TypeVar("T")

AT_ONCE = 4
"""Maximum number of pieces of work at once, one of each session."""
KEPT = 100
"""Number of pieces of work that have ended and can be looked at."""


@dataclass(slots=True)
class _Begun(Generic[T]):
    session_id: str
    state: T
    task: asyncio.Task[None]


class Tasks(Generic[T]):
    """Pieces of work by id, each with its state, which the work changes."""

    def __init__(self) -> None:
        self._begun: OrderedDict[str, _Begun[T]] = OrderedDict()

    def begin(self, session_id: str, state: T, work: Coroutine[None, None, None]) -> str:
        """Begin work for a session. Return its id. Raises FormRejected if there is no place."""
        going = [each for each in self._begun.values() if not each.task.done()]
        if len(going) >= AT_ONCE or any(each.session_id == session_id for each in going):
            work.close()
            raise FormRejected(503, "other imports are under way: wait until they have ended")
        for task_id in [key for key, each in self._begun.items() if each.task.done()][:-KEPT]:
            del self._begun[task_id]
        task_id = secrets.token_urlsafe(12)
        self._begun[task_id] = _Begun(session_id, state, asyncio.create_task(work))
        return task_id

    def find(self, session_id: str, task_id: str) -> T | None:
        """Return the state of a session's work; None: it has no such work."""
        found = self._begun.get(task_id)
        return found.state if found and found.session_id == session_id else None
