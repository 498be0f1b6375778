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
    """Look at once and then every so many seconds, until `stop` is set. A look that fails is logged
    as `failed`, with what it was about; the other loops go on. `alive`: what the process counts as
    hung without (see servicekit.liveness); a long look says so itself that it goes on."""
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
