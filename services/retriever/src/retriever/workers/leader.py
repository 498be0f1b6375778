"""Leader election by a lease in SQL: one worker leads; another takes over if it dies."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from retriever.indexing.outbox import LeadershipLost
from servicekit.errors import ServiceError
from servicekit.sql.leases import Lease
from servicekit.tasks.supervision import Backoff, supervised, until_tick


class Leadership:
    """The leader's lease, and the time until which it certainly holds by this process's clock."""

    def __init__(self, lease: Lease, seconds: float) -> None:
        self._lease = lease
        self.seconds = seconds
        """Duration of the lease in seconds."""
        self._until = 0.0

    def left(self) -> float:
        """See Leader in ports/engine.py."""
        return max(0.0, self._until - time.monotonic())

    async def acquire(self) -> bool:
        """Try to become leader; return whether this process leads now."""
        return await self._extend(self._lease.acquire)

    async def keep(self) -> None:
        """Renew until the lease is lost; then raise LeadershipLost."""
        await supervised("lease", self._renew, Backoff(0.0, 0.0))

    async def _renew(self) -> None:
        await asyncio.sleep(until_tick(self.seconds / 4))
        try:
            renewed = await self._extend(self._lease.renew)
        except Exception as error:
            if not self.left():
                raise LeadershipLost from error
            raise
        if not renewed:
            raise LeadershipLost

    async def release(self) -> None:
        """Release the lease, so that another worker can lead immediately."""
        self._until = 0.0
        with contextlib.suppress(ServiceError):
            await self._lease.release()

    async def _extend(self, call: Callable[[], Awaitable[bool]]) -> bool:
        asked = time.monotonic()
        held = await call()
        # Counted from before the call and slightly shorter than in the store.
        self._until = asked + 0.8 * self.seconds if held else 0.0
        return held
