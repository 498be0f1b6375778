"""Retry calls while the suite is unavailable, and report the wait."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sightline_client.cli.base import running
from sightline_client.cli.language import _
from sightline_client.client import SightlineClient
from sightline_client.errors import SightlineError
from sightline_client.transport.pipeline import patiently

R = TypeVar("R")

UNREACHABLE = "GATEWAY_UNREACHABLE"
LONG = 120.0
"""Seconds for which a batch is retried while the suite is unavailable or busy."""
_FIRST = 2.0
"""Seconds for which the first call is retried; less, because no work is lost yet."""
_FIRST_TIMEOUT = 10.0
_QUIET = 60.0
"""Minimum seconds between two reports of waiting."""


async def reach(client: SightlineClient) -> None:
    """Make one cheap call before long work. SightlineError if no gateway answers, or the catalog
    does not exist."""
    timeout = min(client.timeout, _FIRST_TIMEOUT)
    await patiently(lambda: client.status(timeout=timeout), _FIRST)


class Patience:
    """Retry policy while the suite is unavailable. Concurrent calls share one report of waiting."""

    def __init__(self, seconds: float = LONG) -> None:
        self.seconds = seconds
        self._reported_at = -_QUIET

    async def wait(self, call: Callable[[], Awaitable[R]]) -> R:
        """Return the call's answer; see ``patiently``."""
        return await patiently(call, self.seconds, self.report)

    def report(self, error: SightlineError, left: float) -> None:
        """Print the reason and the maximum duration of the wait."""
        now = time.monotonic()
        if now - self._reported_at < _QUIET:
            return
        self._reported_at = now
        why = (
            _("The suite does not answer")
            if error.reason == UNREACHABLE
            else _("The suite is not ready")
        )
        head = f"{why} ({error.reason or error.code.name}): "
        running.tell("{head}trying for {left:,.0f} s more.", head=head, left=left)
