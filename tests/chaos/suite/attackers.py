"""Small but expensive requests: each attack with a key of its own, beside a regular caller.

An attack is what one caller with little bandwidth can do without end: permitted requests, and calls
that are refused or never sent whole. Keys have the quotas of production, for this machine's
processors.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from examples.wines.local import own
from local_suite.suite import Suite
from servicekit.admission.quotas import PRODUCTION, QuotaKind
from servicekit.status import from_rpc_error
from sightline.common.v1.job_pb2 import Job
from sightline.common.v1.job_service_pb2 import WatchJobRequest
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.ranker.v1.event_service_pb2 import ExportEventsRequest
from sightline.ranker.v1.model_service_pb2 import TrainModelRequest
from tests.chaos.model import Report
from tests.chaos.suite.crowd import (
    WHOLE,
    Ask,
    Got,
    Phase,
    check_pace,
    come,
    counted,
    outcome,
    p99,
)
from tests.fuzz.cost import attack, stage
from tests.fuzz.cost.apart import apart
from tests.fuzz.cost.recipes import CATALOG, Recipe
from tests.fuzz.cost.stage import CALM, Keys, Meter, channel_to, fill, indexed
from tests.fuzz.surface import named

PRODUCTS: Final = 1_000
CALM_PHASE: Final = Phase(9.0, 10.0)
ROUNDS: Final = 3
"""Phases alone and beside an attack, in turns: the p99 is that of all requests of one kind, as a
hundred requests of one phase say little about it."""
SETTLE_SECONDS: Final = 4.0
MOST: Final = 2.0
"""Times the calm one's p99 alone."""
AT_ONCE: Final = 4
"""Requests of an attacker at a time."""
STREAMS: Final = 110
"""A connection has 100."""
REFUSED_AT_ONCE: Final = 32
STUCK: Final = 16
DEADLINE_SECONDS: Final = 10.0
_HEALTH: Final = "/grpc.health.v1.Health/Check"
_PAUSE_SECONDS: Final = 0.02
"""Pause after a rejected call: an attacker that ignores the advised delay."""

Attack = Callable[[str, Keys, Counter[str]], Awaitable[None]]
"""Attacks the gateway at an address until cancelled, and counts the outcomes."""


def attackers(seed: int, report: Report) -> None:
    """Run each attack beside a regular caller. Raise SuiteError or NotMeasured."""
    keys = Keys.new()
    with own(partial(stage.make, keys, lambda _line: None, quotas=_quotas())) as suite:
        asyncio.run(_attacked(suite, keys, seed, report))


def _quotas() -> Mapping[QuotaKind, float]:
    """Return one caller's share of this machine (docs/operate/sizing.md, One caller's share)."""
    seconds = len(os.sched_getaffinity(0)) / 2
    return {
        **PRODUCTION,
        QuotaKind.PROCESSOR_SECONDS: seconds,
        QuotaKind.DECODE_SECONDS: seconds / 2,
    }


async def _attacked(suite: Suite, keys: Keys, seed: int, report: Report) -> None:
    chance, meter = random.Random(seed), Meter(suite)
    address = suite.addresses()["gateway"]
    async with channel_to(address) as channel:
        await fill(channel, keys, PRODUCTS, stage.ATTRIBUTES)
        await indexed(channel, keys, report.say)
        await meter.learn_idle(SETTLE_SECONDS)
        ask = calm(channel, keys)
        await come(ask, [Phase(CALM_PHASE.rate, SETTLE_SECONDS)], chance)
        for name, attacking in ATTACKS.items():
            alone, beside, codes = list[Got](), list[Got](), Counter[str]()
            for _ in range(ROUNDS):
                alone += (await come(ask, [CALM_PHASE], chance))[0]
                async with apart(partial(attacking, address, keys), codes):
                    await asyncio.sleep(SETTLE_SECONDS)
                    beside += (await come(ask, [CALM_PHASE], chance))[0]
                await meter.settle(stage.SETTLE_SECONDS)
            check_pace([*alone, *beside])
            said = ", ".join(f"{count} {code}" for code, count in codes.most_common(4))
            report.say(f"attack by {name}: {said or 'no answer'}")
            judge_attack(name, alone, beside, report)


def judge_attack(name: str, alone: Sequence[Got], beside: Sequence[Got], report: Report) -> None:
    """Judge the regular caller's answers: complete, and nearly as fast as without the attack."""
    before, now = p99(g.seconds for g in alone), p99(g.seconds for g in beside)
    whole = all(each.outcome == WHOLE for each in (*alone, *beside))
    report.add(
        f"greedy: {name} beside calm: the calm one is answered whole, its p99 ≤ {MOST:g} × alone",
        bool(alone) and bool(beside) and whole and now <= MOST * before,
        f"{now * 1e3:.0f} ms, alone {before * 1e3:.0f} ms; {counted(beside)}",
    )


def calm(channel: grpc.aio.Channel, keys: Keys) -> Ask:
    """Return a regular caller that searches, searches by its own photo, and checks health."""
    numbers, asking = itertools.count(), attack.calm(channel, keys)
    metadata = keys.metadata(CALM)
    recommend = channel.unary_unary(named("Recommend").path, None, pb.RecommendResponse.FromString)
    health = channel.unary_unary(_HEALTH, None, health_pb2.HealthCheckResponse.FromString)

    async def ask() -> str:
        number = next(numbers)
        if number % 4 == 0:
            signals = [pb.QuerySignal(image=stage.noise())]
            request = pb.RecommendRequest(catalog_id=CATALOG, signals=signals)
            raw = request.SerializeToString()
            return await outcome(recommend(raw, timeout=attack.CALM_DEADLINE, metadata=metadata))
        if number % 4 == 1:
            return await _healthy(health(b"", timeout=attack.CALM_DEADLINE))
        return await asking()

    return ask


async def _healthy(call: Awaitable[health_pb2.HealthCheckResponse]) -> str:
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return f"health {error.code().name}"
    return WHOLE if answer.status == health_pb2.HealthCheckResponse.SERVING else "not serving"


async def _requests(recipe: Recipe, address: str, keys: Keys, codes: Counter[str]) -> None:
    """Send the same request again and again, each time with other texts and photos."""
    numbers = itertools.count()

    async def again(channel: grpc.aio.Channel) -> None:
        call = channel.unary_unary(recipe.method.path, None, None)
        while True:
            raw = await asyncio.to_thread(recipe.build, next(numbers))
            await _counted(
                call(raw, timeout=DEADLINE_SECONDS, metadata=keys.metadata("attacker-0")), codes
            )

    async with channel_to(address) as channel, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(again(channel))


async def _refused(address: str, keys: Keys, codes: Counter[str]) -> None:
    """Make calls for which the key lacks the role."""
    raw = TrainModelRequest(catalog_id=CATALOG).SerializeToString()

    async def again(call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]) -> None:
        while True:
            metadata = keys.metadata("attacker-0")
            await _counted(call(raw, timeout=DEADLINE_SECONDS, metadata=metadata), codes)

    async with channel_to(address) as channel, asyncio.TaskGroup() as group:
        for _ in range(REFUSED_AT_ONCE):
            call = channel.unary_unary(named("TrainModel").path, None, None)
            group.create_task(again(call))


async def _counted(call: Awaitable[object], codes: Counter[str]) -> None:
    try:
        await call
        codes["OK"] += 1
    except grpc.aio.AioRpcError as error:
        codes[from_rpc_error(error).reason or error.code().name] += 1
        await asyncio.sleep(_PAUSE_SECONDS)


async def _streams(address: str, keys: Keys, codes: Counter[str]) -> None:
    """Watch its own job as often as it can, over several connections."""
    metadata = keys.metadata("search-0")

    async def watch(channel: grpc.aio.Channel, job: str) -> None:
        request = WatchJobRequest(catalog_id=CATALOG, job_id=job).SerializeToString()
        while True:
            try:
                stream = channel.unary_stream(named("WatchJob").path, None, None)
                async for _ in stream(request, metadata=metadata):
                    codes["states"] += 1
            except grpc.aio.AioRpcError as error:
                codes[from_rpc_error(error).reason or error.code().name] += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    async with channel_to(address) as one, channel_to(address) as other:
        export = one.unary_unary(named("ExportEvents").path, None, Job.FromString)
        raw = ExportEventsRequest(catalog_id=CATALOG).SerializeToString()
        job = (await export(raw, timeout=DEADLINE_SECONDS, metadata=metadata)).job_id
        async with asyncio.TaskGroup() as group:
            for number in range(STREAMS):
                group.create_task(watch((one, other)[number % 2], job))


async def _stuck(address: str, keys: Keys, codes: Counter[str]) -> None:
    """Check health without ever sending the message, without a token."""

    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def check(channel: grpc.aio.Channel) -> None:
        call = channel.stream_unary(_HEALTH, None, None)
        while True:
            try:
                await call(never(), timeout=DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                codes[from_rpc_error(error).reason or error.code().name] += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # gRPC drops the generators of failed calls
    try:
        async with channel_to(address) as channel, asyncio.TaskGroup() as group:
            for _ in range(STUCK):
                group.create_task(check(channel))
    finally:
        loop.set_exception_handler(None)


_TEXTS: Final = {"texts": 8, "characters": 4_000, "page_size": 200}
_FILTER: Final = {"conditions": 31, "negated": True}
ATTACKS: Final[Mapping[str, Attack]] = {
    "boosts with filters": partial(
        _requests, Recipe("Recommend", controls=8, control_conditions=31, page_size=200)
    ),
    "AVIF of 38 megapixels": partial(
        _requests, Recipe("Recommend", photos=8, side=2_200, format="AVIF")
    ),
    "searches with texts, a filter and facets": partial(
        _requests, Recipe("Search", texts=2, characters=4_000, facets=10, page_size=200)
    ),
    "searches at the limit": partial(
        _requests,
        Recipe("Search", facets=10, **_TEXTS, **_FILTER),  # type: ignore[arg-type]
    ),
    "lists with a filter": partial(_requests, Recipe("ListProducts", conditions=31)),
    "refused calls": _refused,
    "streams": _streams,
    "health checks that never send": _stuck,
}
