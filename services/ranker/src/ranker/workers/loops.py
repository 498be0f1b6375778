"""Repeating loops of the worker."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from servicekit import liveness, telemetry
from servicekit.errors import ServiceError

LATEST_SECONDS = 1.0
"""Maximum seconds for which a look at an unchanged record is left out: work may become due with
time."""
Version = Callable[[], int | None]
"""Returns a number that changes with every commit to the record; `None` where it is unknown (see
servicekit.sql)."""


def when_changed(
    version: Version,
    look: Callable[[], Awaitable[object]],
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[], Awaitable[None]]:
    """Return `look` without the calls that find the record as the last one left it: an idle worker
    then reads a number instead of querying the record several times a second."""
    seen: int | None = None
    until = 0.0

    async def looked() -> None:
        nonlocal seen, until
        found = version()
        if found is not None and found == seen and clock() < until:
            return
        seen = None
        await look()
        seen, until = found, clock() + LATEST_SECONDS

    return looked


async def repeat(
    look: Callable[[], Awaitable[object]],
    seconds: float,
    stop: asyncio.Event,
    failed: str,
    alive: str = "",
    **about: str,
) -> None:
    """Call `look` immediately and then every `seconds`, until `stop` is set. A failed call is
    logged as `failed`; the other loops continue. `alive` is the name under which
    liveness is reported (servicekit.liveness); a long call must report it itself."""
    log = telemetry.get_logger().bind(**about)
    while not stop.is_set():
        if alive:
            liveness.LIVENESS.report(alive)
        try:
            await look()
        except ServiceError as error:
            log.warning(failed, reason=error.reason)
        except Exception:
            log.exception(failed)
        if alive:
            liveness.LIVENESS.report(alive, liveness.SILENT_SECONDS + seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
    liveness.LIVENESS.suspend(alive)
