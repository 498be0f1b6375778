"""Leases: names that one process holds at a time. Needs the extra `sql`.

A lease expires at a time in the store, so that another process takes over after a crash. The clocks
of processes that share a store must differ by much less than a lease's duration.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table

from servicekit.clock import Clock, now_micros
from servicekit.sql.database import Database
from servicekit.sql.locks import inserting
from servicekit.tasks.supervision import Backoff, LoopEnded, supervised, until_tick


def leases_table(metadata: MetaData) -> Table:
    """Return the table `leases` in `metadata`."""
    return Table(
        "leases",
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
    )


class LeaseLost(LoopEnded):
    """Another process may hold the name now: stop immediately."""


class Lease:
    """A name that one owner holds at a time. Its table comes from `leases_table`."""

    def __init__(
        self, db: Database, name: str, owner: str, seconds: float, *, clock: Clock = now_micros
    ) -> None:
        """`owner` must be unique to this process (see `worker_id`)."""
        self._db = db
        self._name, self._owner, self._micros = name, owner, int(seconds * 1e6)
        self.seconds, self._clock = seconds, clock
        self._until = 0.0
        self._t = leases_table(MetaData())

    def left(self) -> float:
        """Return the seconds for which no other process can hold it; 0 once another one may."""
        return max(0.0, self._until - time.monotonic())

    async def keep(self) -> None:
        """Renew it until it is lost; then raise LeaseLost."""
        await supervised("lease", self._renew_soon, Backoff(0.0, 0.0))

    async def _renew_soon(self) -> None:
        await asyncio.sleep(until_tick(self.seconds / 4))
        try:
            renewed = await self.renew()
        except Exception as error:
            if not self.left():
                raise LeaseLost from error
            raise
        if not renewed:
            raise LeaseLost

    async def acquire(self) -> bool:
        """Acquire the lease if it is free, ours, or expired. Return whether it is ours now."""
        t = self._t

        def take(connection: Connection) -> bool:
            now = self._clock()
            values = {"owner": self._owner, "lease_until": now + self._micros}
            free = sa.or_(t.c.owner == self._owner, t.c.lease_until < now)
            # One statement, so that of two processes only one acquires it.
            taken = inserting(connection.dialect.name, t).values(name=self._name, **values)
            taken = taken.on_conflict_do_update(index_elements=["name"], set_=values, where=free)
            return bool(connection.execute(taken).rowcount)

        return await self._extend(take)

    async def renew(self) -> bool:
        """Extend the lease by `seconds`.

        Return False if it was lost: the caller must stop the protected work at once.
        """
        t = self._t

        def extend(connection: Connection) -> bool:
            now = self._clock()
            ours = (t.c.name == self._name, t.c.owner == self._owner, t.c.lease_until >= now)
            changed = connection.execute(
                sa.update(t).where(*ours).values(lease_until=now + self._micros)
            )
            return bool(changed.rowcount)

        return await self._extend(extend)

    async def _extend(self, extend: Callable[[Connection], bool]) -> bool:
        asked = time.monotonic()
        held = await self._db.write(extend, announce=False)
        # Counted from before the call and slightly shorter than in the store.
        self._until = asked + 0.8 * self.seconds if held else 0.0
        return held

    async def release(self) -> None:
        """Release the lease if it is ours."""
        t, self._until = self._t, 0.0
        await self._db.write(
            lambda c: c.execute(
                sa.delete(t).where(t.c.name == self._name, t.c.owner == self._owner)
            )
        )


def worker_id(name: str) -> str:
    """Return a unique id of this process, e.g. `retriever-worker-4711-9f86d081`."""
    return f"{name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
