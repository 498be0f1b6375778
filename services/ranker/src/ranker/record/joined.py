"""Writes that come in together, in one transaction: a commit waits for the disk, however little it
holds (group commit; Gawlick and Kinkade 1985, "Varieties of concurrency control in IMS/VS Fast
Path")."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.errors import ServiceError
from servicekit.sql import Database

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class _Batch(Generic[Item, Outcome]):
    """What one caller wrote, and how they learn the outcome."""

    items: Sequence[Item]
    done: asyncio.Future[tuple[Outcome, ...]]


class Joined(Generic[Item, Outcome]):
    """Writes batches of any number of callers, in the order in which they came.

    While a transaction is on its way the next batches gather, and go together into the next one: a
    single caller never waits for others.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Connection, Sequence[Item]], Sequence[Outcome]],
        most: int,
    ) -> None:
        """`write` is handed the items of one or several batches and returns one outcome for each.
        Up to `most` items go into a transaction, or one batch if that alone is larger."""
        self._db = database
        self._function = write
        self._most = most
        self._waiting: deque[_Batch[Item, Outcome]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, items: Sequence[Item]) -> tuple[Outcome, ...]:
        """The items' outcomes, once they are on disk; what `Database.write` raises.

        A batch that the database refuses fails alone. Cancelled, it may still be written.
        """
        done: asyncio.Future[tuple[Outcome, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Batch(items, done))
        if self._writing is None or self._writing.done():
            # In a context of its own: the transaction is no one caller's.
            self._writing = asyncio.get_running_loop().create_task(
                self._drain(), context=contextvars.Context()
            )
        return await done

    async def _drain(self) -> None:
        while self._waiting:
            await self._together(self._next())

    def _next(self) -> list[_Batch[Item, Outcome]]:
        group, count = [self._waiting.popleft()], 0
        while self._waiting:
            count += len(group[-1].items)
            if count + len(self._waiting[0].items) > self._most:
                break
            group.append(self._waiting.popleft())
        return group

    async def _together(self, group: Sequence[_Batch[Item, Outcome]]) -> None:
        items = [item for batch in group for item in batch.items]
        try:
            outcomes = iter(await self._commit(items))
        except Exception as error:
            if len(group) > 1 and not isinstance(error, ServiceError):
                for one in group:
                    await self._together([one])
                return
            for batch in group:  # the store is busy, full or away: for all of them
                if not batch.done.done():
                    batch.done.set_exception(error)
            return
        for batch in group:
            found = tuple(next(outcomes) for _ in batch.items)
            if not batch.done.done():
                batch.done.set_result(found)

    async def _commit(self, items: Sequence[Item]) -> Sequence[Outcome]:
        try:
            return await self._db.write(lambda connection: self._function(connection, items))
        except sa.exc.IntegrityError:  # PostgreSQL: another process wrote one of them meanwhile
            return await self._db.write(lambda connection: self._function(connection, items))
