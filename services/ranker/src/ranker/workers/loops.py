"""Repeating loops of the worker."""

import asyncio
from collections.abc import Awaitable, Callable

from servicekit import liveness, telemetry
from servicekit.commits import pause
from servicekit.errors import ServiceError

LATEST_SECONDS = 10.0
"""Maximum seconds between two calls of a loop that waits for commits: work may become due with
time."""


async def repeat(
    look: Callable[[], Awaitable[object]],
    seconds: float,
    stop: asyncio.Event,
    failed: str,
    alive: str = "",
    *,
    commits: asyncio.Event | None = None,
    latest: float = LATEST_SECONDS,
    **about: str,
) -> None:
    """Call `look` immediately and then every `seconds`, until `stop` is set. A failed call is
    logged as `failed`; the other loops continue. `alive` is the name under which
    liveness is reported (servicekit.liveness); a long call must report it itself.

    `commits`: an event of the record (servicekit.sql): after `seconds`, the next call waits for a
    commit, `latest` seconds at the longest, unless the last call failed.
    """
    log = telemetry.get_logger().bind(**about)
    while not stop.is_set():
        if alive:
            liveness.LIVENESS.report(alive)
        awaited = None
        try:
            await look()
            awaited = commits
        except ServiceError as error:
            log.warning(failed, reason=error.reason)
        except Exception:
            log.exception(failed)
        if alive:
            liveness.LIVENESS.report(alive, liveness.SILENT_SECONDS + seconds)
        waits = [asyncio.create_task(one) for one in (stop.wait(), pause(seconds, awaited, latest))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    liveness.LIVENESS.suspend(alive)
