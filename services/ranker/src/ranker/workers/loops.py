"""Repeating loops of the worker."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from servicekit import liveness
from servicekit.sql.commits import pause
from servicekit.tasks.supervision import Backoff, confined, supervised

LATEST_SECONDS = 10.0
"""Maximum seconds between two calls of a loop that waits for commits: work may become due with
time."""


def in_each(
    catalogs: Collection[str],
    look: Callable[[str], Awaitable[object]],
    failed: str,
    alive: str,
) -> Callable[[], Awaitable[None]]:
    """Return a function for `repeat` that calls `look` for each catalog at that time. A failed call
    is logged as `failed`; the other catalogs follow."""

    async def look_at_all() -> None:
        for catalog_id in catalogs:
            liveness.LIVENESS.report(alive)
            with confined(failed, catalog_id=catalog_id):
                await look(catalog_id)

    return look_at_all


async def repeat(
    look: Callable[[], Awaitable[object]],
    seconds: float,
    stop: asyncio.Event,
    failed: str,
    alive: str = "",
    *,
    commits: asyncio.Event | None = None,
    latest: float = LATEST_SECONDS,
) -> None:
    """Call `look` immediately and then every `seconds`, until `stop` is set. A failed call is
    logged as `failed`; the other loops continue. `alive` is the name under which
    liveness is reported (servicekit.liveness); a long call must report it itself.

    `commits`: an event of the record (servicekit.sql.database): after `seconds`, the next call
    waits for a commit, `latest` seconds at the longest, unless the last call failed.
    """

    async def once() -> None:
        if alive:
            liveness.LIVENESS.report(alive)
        try:
            await look()
        finally:
            if alive:
                liveness.LIVENESS.report(alive, liveness.SILENT_SECONDS + seconds)
        waits = [asyncio.create_task(one) for one in (stop.wait(), pause(seconds, commits, latest))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    await supervised(failed, once, Backoff(seconds, seconds), stop=stop)
    liveness.LIVENESS.suspend(alive)
