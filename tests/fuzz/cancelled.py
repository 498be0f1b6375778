"""Calls of every kind, cancelled at random moments: afterwards, nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx

from local_suite.model import HOST
from local_suite.suite import Suite
from servicekit.admission.access import rule
from tests.fuzz import memory, pictures
from tests.fuzz.composing import Composer
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import Answer, Call, Finding, Outcome
from tests.fuzz.run import operators_address
from tests.fuzz.surface import METHODS, Method
from tests.fuzz.wire import Sender

SECONDS = 90.0
"""Seconds of calls, besides the looks after them."""
AT_ONCE = 48
FIRST, LAST = 0.0002, 2.0
"""Earliest and latest cancellation, in seconds."""
WARM_SHARE = 0.25
"""Share of the time after which memory is measured for the first time."""
CALM_SECONDS = 45.0
"""Most seconds until nothing is under way any more."""
TRIES = 4
_DEADLINE = 10.0
_BUSY = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "HANGS"})
"""Answers to a service that has no place left. A request may be refused as too large, so that only
a call which is answered by nothing else counts."""
GAUGES = (
    *("sightline_calls_in_flight", "sightline_streams"),
    *("sightline_gateway_answers_waiting", "sightline_ranker_answers_waiting"),
    "sightline_gateway_expensive_requests_waiting",
)
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)

Gauges = Mapping[str, float]


class Canceller:
    """Callers that do not wait for their answers."""

    def __init__(
        self,
        channels: Sequence[grpc.aio.Channel],
        http: str,
        draw: Callable[[], Call],
        chance: random.Random,
    ) -> None:
        """Set the channels of all callers and of operators, and the address of the HTTP server;
        empty: none."""
        self._public, self._operators = channels
        self._http = urlsplit(http)
        self._draw, self._chance = draw, chance
        self.ended: Counter[str] = Counter()
        """Calls by how they ended: cancelled, closed, or by the code of an earlier answer."""
        self.kinds: Counter[str] = Counter()
        """Cancelled calls by path."""

    async def work(self, until: float) -> None:
        """Call and cancel until that reading of the clock."""
        while time.monotonic() < until:
            call = self._draw()
            if self._http.port and self._chance.random() < 0.2:
                ended = await self._closed(call)
            else:
                ended = await self._cancelled(call)
            self.ended[ended] += 1
            if ended in ("CANCELLED", "closed"):
                self.kinds[call.method] += 1

    def _delay(self) -> float:
        """Return a delay of any magnitude."""
        return math.exp(self._chance.uniform(math.log(FIRST), math.log(LAST)))

    async def _cancelled(self, call: Call) -> str:
        """Cancel a call after a delay, or a stream after some messages. Return its code."""
        method = METHODS[call.method]
        channel = self._operators if rule(call.method[1:]).admin else self._public
        options: Any = {"timeout": _DEADLINE, "metadata": call.metadata}
        if not method.streams:
            unary = channel.unary_unary(call.method, None, None)(call.request, **options)
            await asyncio.wait([asyncio.ensure_future(unary.code())], timeout=self._delay())
            unary.cancel()
            return str((await unary.code()).name)
        stream = channel.unary_stream(call.method, None, None)(call.request, **options)
        with contextlib.suppress(grpc.RpcError, TimeoutError):
            async with asyncio.timeout(self._delay()):
                for _ in range(self._chance.choice((0, 1, 2, 5))):
                    await stream.read()
        stream.cancel()
        return str((await stream.code()).name)

    async def _closed(self, call: Call) -> str:
        """Close a connection in the middle of a request or before its answer."""
        head = f"POST {call.method} HTTP/1.1\r\nhost: {self._http.netloc}\r\n"
        head += "content-type: application/proto\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in call.metadata if value.isascii())
        whole = f"{head}content-length: {len(call.request)}\r\n\r\n".encode() + call.request
        if self._chance.random() < 0.2:
            whole = whole[: self._chance.randrange(len(whole))]
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, self._http.port)
            writer.write(whole)
            await asyncio.sleep(self._delay())
            writer.transport.abort()
        return "closed"


async def check(suite: Suite, sender: Sender, seed: int, seconds: float = SECONDS) -> Outcome:
    """Cancel calls for some time. Return whether all is as before."""
    chance = random.Random(seed)
    composer, ledger = Composer(chance, pictures.seeds(seed)), Ledger()

    def draw() -> Call:
        method, raw = composer.draw()
        call = Call(method.path, ledger.admit(method, raw, composer.fresh), _DEADLINE)
        return replace(call, metadata=sender.callers.headers(call))

    programs, before = memory.pids(suite), await gauges(suite)
    addresses = (suite.addresses()["gateway"], operators_address(suite))
    until, warm = time.monotonic() + seconds, dict[str, int]()
    async with contextlib.AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(each)) for each in addresses
        ]
        canceller = Canceller(channels, suite.http, draw, chance)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(canceller.work(until))
            await asyncio.sleep(seconds * WARM_SHARE)
            warm = await asyncio.to_thread(memory.resident, programs)
    wrong = left_over(before, await _calm(suite, before))
    wrong += await unanswered(sender, list(METHODS.values()), composer, ledger)
    wrong += grown(warm, await asyncio.to_thread(memory.resident, programs))
    wrong += [f"{name} ended" for name, pid in memory.pids(suite).items() if pid != programs[name]]
    for why in wrong:
        sender.find(Finding("cancelled", why))
    said = ", ".join(f"{count:,} {name}" for name, count in canceller.ended.most_common(4))
    measured = f"{said}; of {len(canceller.kinds)} of {len(METHODS)} calls; {len(wrong)} wrong"
    return Outcome(not wrong and bool(canceller.kinds), "; ".join([measured, *wrong[:3]]))


def left_over(before: Gauges, after: Gauges) -> list[str]:
    """Return the gauges that have not come back to what they were."""
    return [
        f"{name}: {before.get(name, 0):g} before, {value:g} after"
        for name, value in after.items()
        if value > before.get(name, 0)
    ]


def grown(warm: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Return the programs that take more memory than they may."""
    return [
        f"{name} grew from {warm[name] / 2**20:.0f} to {now / 2**20:.0f} MiB"
        for name, now in after.items()
        if warm.get(name) and now > memory.limit(name, warm[name])
    ]


async def unanswered(
    sender: Sender, methods: Sequence[Method], composer: Composer, ledger: Ledger
) -> list[str]:
    """Send each kind of call again. Return those for which there is no place."""
    wrong = []
    for method in methods:
        answer = Answer("", "", b"", ())
        for _ in range(TRIES):
            raw = composer.message(method).SerializeToString()
            raw = ledger.admit(method, raw, composer.fresh)
            seconds = 1.0 if method.streams else _DEADLINE
            answer = await sender.send(Call(method.path, raw, seconds))
            quiet = method.streams and answer.code == "DEADLINE_EXCEEDED"
            if answer.code not in _BUSY or quiet:
                break
            await asyncio.sleep(1)
        else:
            wrong.append(f"{method.name} answers {answer.code}: {answer.message[:100]}")
    return wrong


async def _calm(suite: Suite, before: Gauges) -> Gauges:
    """Return the gauges once they are as before, or after a while."""
    until = time.monotonic() + CALM_SECONDS
    while True:
        now = await gauges(suite)
        if not left_over(before, now) or time.monotonic() > until:
            return now
        await asyncio.sleep(1)


async def gauges(suite: Suite) -> Gauges:
    """Return what is under way in each program."""
    found: dict[str, float] = {}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        for name, program in suite.programs.items():
            if program.group != "engines" and (port := program.ports.get("metrics")):
                answer = await client.get(f"http://{HOST}:{port}/metrics")
                found |= {f"{name} {key}": value for key, value in under_way(answer.text).items()}
    return found


def under_way(text: str) -> Gauges:
    """Return the gauges of a page of metrics that count what is under way."""
    return {
        f"{name} {labels}".strip(): float(value)
        for name, labels, value in _SAMPLE.findall(text)
        if name in GAUGES
    }
