"""Group commit: concurrent writes in one transaction, because a commit waits for the disk
regardless of its size (Gawlick and Kinkade 1985, "Varieties of concurrency control in IMS/VS Fast
Path")."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from ranker.record.rows import write_beside_others
from servicekit.errors import ServiceError
from servicekit.sql.database import Database
from servicekit.tasks.promise import Promise

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Batch = tuple[Sequence[Item], Promise[tuple[Outcome, ...]]]
"""One caller's writes, and the promise of their outcome."""


class GroupCommit(Generic[Item, Outcome]):
    """Group commit of batches in the order of arrival.

    While a transaction runs, the next batches gather for the following one. A single caller never
    waits for others.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Connection, Sequence[Item]], Sequence[Outcome]],
        most: int,
    ) -> None:
        """`write` receives the items of one or several batches and returns one outcome for each. Up
        to `most` items go into a transaction, or one batch if that alone is larger."""
        self._db = database
        self._function = write
        self._most = most
        self._waiting: deque[Batch[Item, Outcome]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, items: Sequence[Item]) -> tuple[Outcome, ...]:
        """Write the items and return their outcomes once they are on disk. Raise the errors of
        `Database.write`. A batch that the database rejects fails alone. A cancelled batch may still
        be written."""
        done = Promise[tuple[Outcome, ...]]()
        self._waiting.append((items, done))
        if self._writing is None or self._writing.done():
            # In a separate context: the transaction belongs to no single caller.
            self._writing = asyncio.get_running_loop().create_task(
                self._drain(), context=contextvars.Context()
            )
        return await done.value()

    async def _drain(self) -> None:
        while self._waiting:
            await self._together(self._next())

    def _next(self) -> list[Batch[Item, Outcome]]:
        group, count = [self._waiting.popleft()], 0
        while self._waiting:
            count += len(group[-1][0])
            if count + len(self._waiting[0][0]) > self._most:
                break
            group.append(self._waiting.popleft())
        return group

    async def _together(self, group: Sequence[Batch[Item, Outcome]]) -> None:
        together = [item for items, _ in group for item in items]
        try:
            outcomes = iter(await write_beside_others(self._db, self._function, together))
        except Exception as error:
            if len(group) > 1 and not isinstance(error, ServiceError):
                for one in group:
                    await self._together([one])
                return
            for _, done in group:  # the store is busy, full or down: all callers fail
                done.fail(error)
            return
        for items, done in group:
            found = tuple(next(outcomes) for _ in items)
            done.keep(found)
