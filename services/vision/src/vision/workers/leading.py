"""The loops that run while a worker leads."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from prometheus_client import Gauge

from servicekit.sql.leadership import LEADING
from servicekit.sql.leases import Lease, LeaseLost
from servicekit.tasks.loops import Loop
from servicekit.telemetry import get_logger

ALIVE_SECONDS = 5.0
"""Seconds between two reports of a leading worker that it lives."""

LEADS = Gauge("sightline_vision_leader", "1 while this worker leads.")

log = get_logger()

Run = Callable[[], Coroutine[Any, Any, None]]
"""Works until cancelled."""


async def lead(lease: Lease, loops: Sequence[Run]) -> None:
    """Work until cancelled or until the lease is lost."""
    LEADS.set(1)
    log.info("leading")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lease.keep())
            group.create_task(Loop(LEADING, _live, ALIVE_SECONDS, alive=LEADING).run())
            for run in loops:
                group.create_task(run())
    except* LeaseLost:
        log.warning("leadership lost")
    finally:
        LEADS.set(0)


async def _live() -> None:
    """Do nothing: the loop reports that the process answers."""
