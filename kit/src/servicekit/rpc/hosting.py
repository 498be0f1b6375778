"""Several services in one process.

Each service runs as it would alone, with its own settings, port and limits. What they share: the
event loop, the metrics, and the signals, which end them in an order. A service reaches another one
by the target `local:NAME` (local_channel.py). What a service lends (loans.py) the others use
without a message, a task and checks of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextvars import ContextVar
from typing import Any, Final

from grpc_health.v1 import health, health_pb2

from servicekit.admission.memory_budget import ByteBudget
from servicekit.config import LOCAL
from servicekit.rpc.loans import Loan
from servicekit.rpc.local_channel import LocalChannel, LocalServer

EVERY: Final = "sightline.all"
"""Name in health of all services of a process together."""


class Host:
    """The services of this process."""

    def __init__(self) -> None:
        self._servers: dict[str, LocalServer] = {}
        self._loans: dict[str, Loan[Any]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: Mapping[str, asyncio.Task[None]] = {}
        """The services by name, once `run` has started them."""
        self.health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]
        """Answers on the port of each service for all of them, as a probe asks one port."""
        self._serving: set[str] = set()

    def offer(self, service: str, server: LocalServer) -> None:
        """Let the other services of the process call a service."""
        self._servers[service] = server

    def lend(self, service: str, lent: object, held: ByteBudget) -> None:
        """Let the other services of the process work with an object of a service. `held`: see
        Loan."""
        self._loans[service] = Loan(service, lent, held)

    def borrowed(self, service: str) -> Loan[Any] | None:
        """Return what a service lends; None before its start and after its end."""
        return self._loans.get(service)

    async def report_serving(self, service: str) -> None:
        """Note that a service serves; EVERY is healthy when all do."""
        self._serving.add(service)
        if self.tasks.keys() <= self._serving:
            await self.health.set(EVERY, health_pb2.HealthCheckResponse.SERVING)

    async def withdraw(self, service: str) -> None:
        """Let calls of a service and work with what it lends fail from now on, also those in
        progress. Return when none of them runs, so that the service can close what they use."""
        server, loan = self._servers.pop(service, None), self._loans.pop(service, None)
        if loan is not None:
            await loan.end()
        if server is not None:
            await server.end()

    def channel(self, target: str) -> LocalChannel:
        """Return a channel to the service of a target, which may start later."""
        name = target.removeprefix(LOCAL)
        return LocalChannel(lambda: self._servers.get(name))

    def end_of(self, service: str) -> asyncio.Event:
        """Return the event that asks a service to end."""
        return self._ends.setdefault(service, asyncio.Event())

    async def run(self, services: Mapping[str, Coroutine[Any, Any, None]]) -> None:
        """Run services until `stop`, or until one of them ends; then end the others in the order of
        `services`, each after the one before it. Raise what a service raised."""
        running.set(self)
        await self.health.set(EVERY, health_pb2.HealthCheckResponse.NOT_SERVING)
        tasks = {name: asyncio.create_task(work, name=name) for name, work in services.items()}
        self.tasks = tasks
        await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for name, task in tasks.items():
            self.end_of(name).set()
            await asyncio.wait({task})
        await asyncio.gather(*tasks.values())

    def stop(self) -> None:
        """Ask the first service that still runs to end, and with it all; it cuts its drain short at
        the second time."""
        for name, task in self.tasks.items():
            if not task.done():
                self.end_of(name).set()
                return


running: ContextVar[Host | None] = ContextVar("running", default=None)
"""The host of the current service; `None` for a service alone in its process."""


def services() -> int:
    """Return the number of services in this process."""
    host = running.get()
    return 1 if host is None else max(1, len(host.tasks))
