"""Leadership of workers in turn: one at a time holds a lease. Needs the extra `sql`."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from servicekit.errors import ServiceError
from servicekit.liveness import LIVENESS
from servicekit.sql.leases import Lease
from servicekit.tasks.supervision import Backoff, rest, supervised

LEADING = "leader"
"""Name for servicekit.liveness and servicekit.tasks.supervision: the worker waits for the lease, or
leads."""


async def lead_in_turn(
    lease: Lease, lead: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event
) -> None:
    """Lead whenever this worker holds the lease, until `stop` is set. `lead`: works until cancelled
    or until the lease is lost."""
    stopped = asyncio.create_task(stop.wait())

    async def turn() -> None:
        LIVENESS.report(LEADING)
        if not await lease.acquire():
            await rest(lease.seconds / 4, stop)
            return
        leading = asyncio.create_task(lead())
        try:
            await asyncio.wait({stopped, leading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leading.cancel()
            await asyncio.wait({leading})
        if not leading.cancelled():
            leading.result()

    try:
        backoff = Backoff(lease.seconds / 4, lease.seconds)
        await supervised(LEADING, turn, backoff, stop=stop)
    finally:
        stopped.cancel()
        with contextlib.suppress(ServiceError):  # so that another worker can lead immediately
            await lease.release()
