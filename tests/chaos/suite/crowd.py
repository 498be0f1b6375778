"""Shoppers that arrive independently of the answers to earlier ones, and their answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from servicekit.status import from_rpc_error
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from tests.chaos.model import NotMeasured

DEADLINE_SECONDS: Final = 2.0
"""Deadline of each request, equal to the gateway's default."""
WHOLE: Final = "whole"
FLAGGED: Final = "degraded"
REFUSED: Final = "refused"
"""Rejection with RESOURCE_EXHAUSTED and RetryInfo."""
LAG_SECONDS: Final = 0.1
"""Maximum delay of the sending program, at its p99."""

Ask = Callable[[], Awaitable[str]]
"""Sends one request; returns its outcome."""


@dataclass(frozen=True, slots=True)
class Got:
    """Outcome of one request; times by time.monotonic()."""

    due: float
    """Scheduled time, from which its latency counts."""
    began: float
    ended: float
    outcome: str
    """WHOLE, FLAGGED, REFUSED, or "CODE REASON"."""

    @property
    def seconds(self) -> float:
        """Seconds that the shopper waited."""
        return self.ended - self.due


@dataclass(frozen=True, slots=True)
class Phase:
    """Phase of constant load: a rate and a duration."""

    rate: float
    seconds: float


async def come(ask: Ask, phases: Iterable[Phase], chance: random.Random) -> list[list[Got]]:
    """Send requests with Poisson arrivals in one phase after another. Return the outcomes by
    phase."""
    got: list[list[Got]] = []
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for phase in phases:
            got.append([])
            due = begin + chance.expovariate(phase.rate)
            begin += phase.seconds
            while due < begin:
                await asyncio.sleep(due - time.monotonic())
                group.create_task(_note(ask, due, got[-1]))
                due += chance.expovariate(phase.rate)
            await asyncio.sleep(begin - time.monotonic())
    return got


async def _note(ask: Ask, due: float, got: list[Got]) -> None:
    began = time.monotonic()
    outcome = await ask()
    got.append(Got(due, began, time.monotonic(), outcome))


def check_pace(got: Iterable[Got]) -> None:
    """Raise NotMeasured if requests were sent too long after their scheduled times."""
    if (lag := p99(each.began - each.due for each in got)) > LAG_SECONDS:
        raise NotMeasured(f"this program asks {lag:.2f} s late at its p99: the machine is busy")


@contextlib.asynccontextmanager
async def connections(address: str, count: int) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Yield channels, each with a connection of its own."""
    async with contextlib.AsyncExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        yield [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options))
            for _ in range(count)
        ]


def shopper(channels: Sequence[grpc.aio.Channel], catalog: str) -> Ask:
    """Return a request for products like a photo, which uses each connection in turn."""
    stubs = itertools.cycle([RecommendationServiceStub(channel) for channel in channels])
    signals = [pb.QuerySignal(image=b"photo")]
    request = pb.RecommendRequest(catalog_id=catalog, page_size=3, signals=signals)
    return lambda: outcome(next(stubs).Recommend(request, timeout=DEADLINE_SECONDS))


async def outcome(call: Awaitable[Any]) -> str:
    """Return the outcome of a recommendation."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        reported = from_rpc_error(error)
        refused = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        if refused and reported.retry_after is not None:
            return REFUSED
        return f"{error.code().name} {reported.reason}"
    if not answer.results:
        return "empty success"
    return FLAGGED if answer.degradations else WHOLE


def p99(seconds: Iterable[float]) -> float:
    """Return the 99th percentile by nearest rank; 0 without values."""
    found = sorted(seconds)
    return found[math.ceil(0.99 * len(found)) - 1] if found else 0.0


def goodput(got: Iterable[Got], begin: float, seconds: float) -> float:
    """Return the complete answers per second that arrived in a phase; later ones count for the next
    phase."""
    whole = [g for g in got if g.outcome == WHOLE and begin <= g.ended < begin + seconds]
    return len(whole) / seconds


def counted(got: Iterable[Got]) -> str:
    """Return the number of requests by outcome, in words."""
    counts = Counter(each.outcome for each in got)
    return ", ".join(f"{count} {what}" for what, count in counts.most_common(5)) or "none"
