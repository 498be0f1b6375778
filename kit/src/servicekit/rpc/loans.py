"""Work with what another service of the process lends: in the task and context of the borrower.

Nothing is admitted, parsed or copied a second time, so what is lent takes values that its borrower
has checked, and neither side changes what crosses. What stays as in a call: its deadline, the name
of its service in logs and metrics, and its end with its service.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from servicekit import telemetry, tracing
from servicekit.admission import access
from servicekit.admission.limits import REFUSED
from servicekit.admission.memory_budget import ByteBudget, BytesExhausted, in_flight
from servicekit.deadlines import TimeLimit
from servicekit.errors import DeadlineExceeded

L = TypeVar("L")


class Withdrawn(Exception):
    """The service that lent an object has ended."""


class Loan(Generic[L]):
    """Holds what a service lends, and the work of borrowers that is in progress."""

    def __init__(self, service: str, lent: L, held: ByteBudget) -> None:
        """`held`: the bytes of the service's requests."""
        self.service, self.lent, self._held = service, lent, held
        self.running: dict[Use[L], None] = {}
        self.idle = asyncio.Event()
        self.ended = False

    @asynccontextmanager
    async def holding(self, size: int) -> AsyncIterator[None]:
        """Count `size` bytes, and what the block fetches, as those of a request to the service.
        Raises BytesExhausted."""
        caller, size = access.caller.get().name, min(size, self._held.each)
        try:
            await self._held.acquire(caller, size)
        except BytesExhausted as error:
            REFUSED.labels(self.service, error.reason).inc()
            raise
        outer = in_flight.set((self._held, caller))
        try:
            yield
        finally:
            in_flight.reset(outer)
            self._held.release(caller, size)

    async def end(self) -> None:
        """Cancel the work in progress, and wait until it has ended."""
        self.ended = True
        for each in self.running:
            each.end()
        if self.running:
            await self.idle.wait()


class Use(TimeLimit, Generic[L]):
    """Work of a borrower: a block, which gets the object.

    Raises Withdrawn, DeadlineExceeded, and what the block raises.
    """

    __slots__ = ("_loan", "_name", "_named", "_span")

    def __init__(self, loan: Loan[L], name: str, seconds: float, reserve: float) -> None:
        """Work for `seconds`, and until `reserve` seconds before the call's deadline. `name`: that
        of its span, a fixed word."""
        self._loan, self._name = loan, name
        self._seconds, self._reserve = seconds, reserve

    def __enter__(self) -> L:
        loan = self._loan
        if loan.ended:
            raise Withdrawn
        TimeLimit.__enter__(self)
        loan.running[self] = None
        self._named = telemetry.service_name.set(loan.service)
        self._span = None
        if tracing.is_recording:
            self._span = tracing.child(f"{loan.service} {self._name}")
        return loan.lent

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        loan = self._loan
        telemetry.service_name.reset(self._named)
        del loan.running[self]
        if loan.ended and not loan.running:
            loan.idle.set()
        is_late = self._expired and isinstance(error, TimeoutError)
        try:
            TimeLimit.__exit__(self, kind, error, trace)
        except TimeoutError:
            is_late = True
        if self._span is not None:
            self._span.end(self._failure() if is_late else error)
        if is_late:
            raise self._failure() from None

    def _failure(self) -> Exception:
        if self._loan.ended:
            return Withdrawn()
        return DeadlineExceeded("the deadline passed", reason="DEADLINE_EXCEEDED")

    def end(self) -> None:
        """Cancel the work as if its limit had passed."""
        if not self._expired:
            self._expire()
