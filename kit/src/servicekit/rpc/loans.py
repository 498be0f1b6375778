"""Work with what another service of the process lends: in the task and context of the borrower.

Nothing is admitted, parsed or copied a second time, so what is lent takes values that its borrower
has checked, and neither side changes what crosses. What stays as in a call: its deadline, the name
of its service in logs and metrics, and its end with its service.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Generic, TypeVar

from servicekit import deadlines, telemetry
from servicekit.errors import DeadlineExceeded

L = TypeVar("L")
T = TypeVar("T")


class Withdrawn(Exception):
    """The service that lent an object has ended."""


class Loan(Generic[L]):
    """What a service lends, with the work in progress on it."""

    def __init__(self, service: str, lent: L) -> None:
        self._service, self._lent = service, lent
        self._running: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._ended = False

    async def use(self, work: Callable[[L], Awaitable[T]], seconds: float | None) -> T:
        """Return the result of work with the object. `seconds`: its deadline; None: none.

        Raises Withdrawn, DeadlineExceeded, and what the work raises.
        """
        if self._ended:
            raise Withdrawn
        running = asyncio.timeout(seconds)
        self._running.add(running)
        named = telemetry.service_name.set(self._service)
        try:
            with nullcontext() if seconds is None else deadlines.within(seconds):
                async with running:
                    return await work(self._lent)
        except TimeoutError:
            if not running.expired():
                raise
            if self._ended:
                raise Withdrawn from None
            raise DeadlineExceeded("the deadline passed", reason="DEADLINE_EXCEEDED") from None
        finally:
            telemetry.service_name.reset(named)
            self._running.discard(running)
            if self._ended and not self._running:
                self._idle.set()

    async def end(self) -> None:
        """Cancel the work in progress, and wait until it has ended."""
        self._ended = True
        now = asyncio.get_running_loop().time()
        for each in self._running:
            if not each.expired():
                each.reschedule(now)
        if self._running:
            await self._idle.wait()
