"""What the worker does again and again until it stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from servicekit import telemetry
from servicekit.errors import ServiceError


async def repeat(
    look: Callable[[], Awaitable[object]],
    seconds: float,
    stop: asyncio.Event,
    failed: str,
    **about: str,
) -> None:
    """Look at once and then every so many seconds, until `stop` is set. A look that fails is logged
    as `failed`, with what it was about; the other loops go on."""
    log = telemetry.get_logger().bind(**about)
    while not stop.is_set():
        try:
            await look()
        except ServiceError as error:
            log.warning(failed, reason=error.reason)
        except Exception:
            log.exception(failed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
