"""The loops that run while a worker leads."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from prometheus_client import Gauge

from servicekit.errors import ServiceError
from servicekit.liveness import LIVENESS
from servicekit.sql.leases import Lease, LeaseLost
from servicekit.tasks.supervision import Backoff, rest, supervised
from servicekit.telemetry import get_logger

LEADING = "leader"
"""Name for servicekit.liveness: the worker waits for the lease, or leads."""
ALIVE_SECONDS = 5.0
"""Seconds between two reports of a leading worker that it lives."""

LEADS = Gauge("sightline_vision_leader", "1 while this worker leads.")

log = get_logger()

Run = Callable[[], Coroutine[Any, Any, None]]
"""Works until cancelled."""


async def lead_in_turn(lease: Lease, loops: Sequence[Run], stop: asyncio.Event) -> None:
    """Run the loops whenever this worker holds the lease, until `stop` is set."""
    stopped = asyncio.create_task(stop.wait())

    async def turn() -> None:
        LIVENESS.report(LEADING)
        if not await lease.acquire():
            await rest(lease.seconds / 4, stop)
            return
        leading = asyncio.create_task(_lead(lease, loops))
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


async def _lead(lease: Lease, loops: Sequence[Run]) -> None:
    """Work until cancelled or until the lease is lost."""
    LEADS.set(1)
    log.info("leading")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lease.keep())
            group.create_task(_live())
            for run in loops:
                group.create_task(run())
    except* LeaseLost:
        log.warning("leadership lost")
    finally:
        LEADS.set(0)


async def _live() -> None:
    while True:
        LIVENESS.report(LEADING)
        await asyncio.sleep(ALIVE_SECONDS)
