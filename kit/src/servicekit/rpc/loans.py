"""Work with what another service of the process lends: in the task and context of the borrower.

Nothing is admitted, parsed or copied a second time, so what is lent takes values that its borrower
has checked, and neither side changes what crosses. What stays as in a call: its deadline, the name
of its service in logs and metrics, and its end with its service.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from servicekit import telemetry, tracing
from servicekit.deadlines import TimeLimit
from servicekit.errors import DeadlineExceeded

L = TypeVar("L")
T = TypeVar("T")


class Withdrawn(Exception):
    """The service that lent an object has ended."""


class _Use(TimeLimit):
    """Work in progress."""

    __slots__ = ()

    @property
    def expired(self) -> bool:
        """Return whether it was cancelled by its limit, or by `end`."""
        return self._expired

    def end(self) -> None:
        """Cancel it as if its limit had passed."""
        if not self._expired:
            self._expire()


class Loan(Generic[L]):
    """Holds what a service lends, and the work of borrowers that is in progress."""

    def __init__(self, service: str, lent: L) -> None:
        self._service, self._lent = service, lent
        self._running: set[_Use] = set()
        self._idle = asyncio.Event()
        self._ended = False

    async def use(self, name: str, work: Callable[[L], Awaitable[T]], seconds: float) -> T:
        """Return the result of work with the object, within `seconds`. `name`: that of its span, a
        fixed word.

        Raises Withdrawn, DeadlineExceeded, and what the work raises.
        """
        span = tracing.child(f"{self._service} {name}")
        if span is None:
            return await self._use(work, seconds)
        try:
            found = await self._use(work, seconds)
        except BaseException as error:
            span.end(error)
            raise
        span.end()
        return found

    async def _use(self, work: Callable[[L], Awaitable[T]], seconds: float) -> T:
        if self._ended:
            raise Withdrawn
        running = _Use(seconds, narrows=True)
        self._running.add(running)
        named = telemetry.service_name.set(self._service)
        try:
            with running:
                return await work(self._lent)
        except TimeoutError:
            if not running.expired:
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
        for each in self._running:
            each.end()
        if self._running:
            await self._idle.wait()
