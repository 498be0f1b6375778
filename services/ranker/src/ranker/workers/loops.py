"""Repeating loops of the worker."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from servicekit import liveness, telemetry
from servicekit.errors import ServiceError


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
