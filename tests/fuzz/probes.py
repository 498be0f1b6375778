"""Health checks of every service, repeated during the fuzzing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local_suite.model import HOST
from local_suite.suite import Suite
from tests.fuzz.model import Outcome

EVERY_SECONDS = 0.2
_SERVICES = ("gateway", "embedder", "retriever", "ranker")
_REQUEST = health_pb2.HealthCheckRequest()
_NEW_CONNECTION = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


def targets(suite: Suite) -> Mapping[str, str]:
    """Return the health endpoints: the ports of all services, for calls and for probes."""
    return {
        f"{name} {purpose}": f"{HOST}:{port}"
        for name in _SERVICES
        for purpose, port in suite.programs[name].ports.items()
        if purpose in ("grpc", "probes")
    }


class Probes:
    """Health checks of each target, each time on a new connection, as a kubelet makes them."""

    def __init__(
        self, targets: Mapping[str, str], seconds: float, report: Callable[[str], None]
    ) -> None:
        """Set the targets; `seconds`: time limit of an answer."""
        self._targets, self._seconds, self._report = targets, seconds, report
        self.asked: Counter[str] = Counter()
        """Number of checks by target."""
        self._failed: Counter[str] = Counter()
        self._slowest = (0.0, "none")

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name in self._targets:
                group.create_task(self._over_and_over(name))

    def outcome(self) -> Outcome:
        """Return the outcome: held if every target was checked and always answered."""
        failed = ", ".join(f"{count} × {what}" for what, count in self._failed.most_common(4))
        seconds, where = self._slowest
        measured = (
            f"{self.asked.total():,} asked of {len(self.asked)} ports, "
            f"{self._failed.total()} failed{failed and f' ({failed})'}; "
            f"the slowest took {seconds * 1000:.0f} ms ({where})"
        )
        return Outcome(set(self.asked) == set(self._targets) and not self._failed, measured)

    async def _over_and_over(self, name: str) -> None:
        while True:
            began = time.monotonic()
            problem = await self._ask(self._targets[name])
            took = time.monotonic() - began
            self.asked[name] += 1
            self._slowest = max(self._slowest, (took, name))
            if problem:
                self._failed[f"{name} {problem}"] += 1
                self._report(f"  {datetime.now(UTC):%H:%M:%S} UTC, probe of {name}: {problem}")
            await asyncio.sleep(max(0.0, EVERY_SECONDS - took))

    async def _ask(self, target: str) -> str:
        """Return the fault of a target; empty if there is none."""
        async with grpc.aio.insecure_channel(target, options=_NEW_CONNECTION) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            try:
                answer = await check(_REQUEST, timeout=self._seconds)
            except grpc.aio.AioRpcError as error:
                return error.code().name
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return "" if serving else "not SERVING"
