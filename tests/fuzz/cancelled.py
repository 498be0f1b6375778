"""Public calls that are cancelled at random awaits: after a random time or after some answers of a
stream, over gRPC and by closing a connection over HTTP."""

from __future__ import annotations

import asyncio
import random
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import httpx

from local_suite.model import HOST
from local_suite.suite import Suite
from servicekit.access import rule
from tests.fuzz import memory
from tests.fuzz.composing import Composer
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import Answer, Call, Outcome
from tests.fuzz.surface import METHODS, Method
from tests.fuzz.wire import Sender

SECONDS = 90.0
AT_ONCE = 24
"""Calls in progress: fewer than a service takes at once."""
REST_SECONDS = 40.0
"""Time in which the services come to rest after the last cancelled call."""
UNDECIDED = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED", "HANGS"}
)
GAUGES = re.compile(
    r"^(sightline_(?:calls_in_flight|streams|gateway_expensive_requests_waiting)(?:{[^}]*})?)"
    r" (\S+)",
    re.MULTILINE,
)
"""What calls hold while they are in progress."""
_LONGEST = 1.0
_AGAIN_SECONDS = 20.0
_HTTP_SHARE = 0.3
_TRIES = 3


class Cancelling:
    """Calls that are cancelled."""

    def __init__(
        self,
        public: grpc.aio.Channel,
        operators: grpc.aio.Channel,
        http: httpx.AsyncClient | None,
        sender: Sender,
        composer: Composer,
        chance: random.Random,
    ) -> None:
        """Set the channels; `http`: client of the server over HTTP; None: there is none."""
        self._public, self._operators, self._http = public, operators, http
        self._sender, self._composer, self._chance = sender, composer, chance
        self._ledger = Ledger()
        self.ends: Counter[str] = Counter()
        """Calls by how they ended."""
        self.methods: set[str] = set()
        """Names of the calls that were cancelled."""

    def drawn(self) -> tuple[Method, bytes]:
        """Return a call and its request, which changes no protected data."""
        method, raw = self._composer.draw()
        return method, self._ledger.admit(method, raw, self._composer.fresh)

    async def run(self, seconds: float) -> None:
        """Cancel calls, many at once, until the time is up."""
        until = time.monotonic() + seconds

        async def on() -> None:
            while time.monotonic() < until:
                await self.one(*self.drawn())

        await asyncio.gather(*(on() for _ in range(AT_ONCE)))

    async def one(self, method: Method, raw: bytes) -> None:
        """Begin a call and cancel it, unless it ends before."""
        call = Call(method.path, raw, _AGAIN_SECONDS)
        over_http = self._http is not None and not rule(method.path[1:]).admin
        if over_http and not method.streams and self._chance.random() < _HTTP_SHARE:
            work: Awaitable[str] = self._over_http(call)
        elif method.streams:
            work = self._stream(call, self._chance.choice((0, 0, 1, 2, 5)))
        else:
            work = self._unary(call)
        task = asyncio.ensure_future(work)
        # Awaits follow one another in microseconds at first, and wait for peers in milliseconds.
        await asyncio.wait([task], timeout=_LONGEST * 10 ** -self._chance.uniform(0, 4))
        if not task.done():
            task.cancel()
            self.methods.add(method.name)
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        self.ends[ended if isinstance(ended, str) else type(ended).__name__] += 1

    def _begun(self, call: Call, kind: str) -> Any:
        channel = self._operators if rule(call.method[1:]).admin else self._public
        headers = self._sender.callers.headers(call)
        made = getattr(channel, kind)(call.method, None, None)
        return made(call.request, timeout=call.seconds, metadata=headers)

    async def _unary(self, call: Call) -> str:
        begun = self._begun(call, "unary_unary")
        try:
            await begun
        except grpc.aio.AioRpcError as error:
            return error.code().name
        finally:
            begun.cancel()
        return "OK"

    async def _stream(self, call: Call, most: int) -> str:
        begun, count = self._begun(call, "unary_stream"), 0
        try:
            async for _ in begun:
                count += 1
                if count > most:
                    self.methods.add(METHODS[call.method].name)
                    return "cancelled after answers"
        except grpc.aio.AioRpcError as error:
            return error.code().name
        finally:
            begun.cancel()
        return "OK"

    async def _over_http(self, call: Call) -> str:
        """Send a call by the Connect protocol: being cancelled closes its connection."""
        assert self._http is not None
        headers = {
            **dict(self._sender.callers.headers(call)),
            "content-type": "application/proto",
            "connect-protocol-version": "1",
        }
        answer = await self._http.post(call.method, content=call.request, headers=headers)
        return f"HTTP {answer.status_code}"


def lost(before: Mapping[str, Answer], after: Mapping[str, Answer]) -> list[str]:
    """Return the calls that were decided before, and no longer are."""
    return [
        f"{METHODS[path].name} answered {answer.code}, then {after[path].code}:"
        f" {after[path].message[:100]}"
        for path, answer in before.items()
        if answer.code not in UNDECIDED and after[path].code in UNDECIDED
    ]


async def answered(sender: Sender, asked: Mapping[str, bytes]) -> dict[str, Answer]:
    """Send each request, again if it is not decided. Return the answers by path."""
    answers = {}
    for path, raw in asked.items():
        seconds = 0.3 if METHODS[path].streams else _AGAIN_SECONDS
        for _ in range(_TRIES):
            answers[path] = await sender.send(Call(path, raw, seconds))
            if answers[path].code not in UNDECIDED:
                break
            await asyncio.sleep(0.5)
    return answers


def gauges(suite: Suite) -> dict[str, float]:
    """Return what is in progress in each program."""
    found = {}
    for name, program in suite.programs.items():
        if name in ("triton", "milvus") or "metrics" not in program.ports:
            continue
        address = f"http://{HOST}:{program.ports['metrics']}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        found |= {f"{name} {gauge}": float(value) for gauge, value in GAUGES.findall(text)}
    return found


async def at_rest(read: Callable[[], dict[str, float]], before: Mapping[str, float]) -> list[str]:
    """Wait until no gauge is above what it was. Return those that stay above."""
    until = time.monotonic() + REST_SECONDS
    while True:
        now = await asyncio.to_thread(read)
        above = [f"{name} = {now[name]:g}" for name in now if now[name] > before.get(name, 0.0)]
        if not above or time.monotonic() > until:
            return above
        await asyncio.sleep(1)


async def check(
    suite: Suite, sender: Sender, cancelling: Cancelling, seconds: float = SECONDS
) -> Outcome:
    """Cancel calls, and look at what the services hold then."""
    asked: dict[str, bytes] = {}
    for _ in range(20 * len(METHODS)):
        method, raw = cancelling.drawn()
        asked.setdefault(method.path, raw)
    before = await answered(sender, asked)
    rest = await asyncio.to_thread(gauges, suite)
    programs = memory.pids(suite)
    await cancelling.run(seconds / 4)
    warm = memory.resident(programs)
    await cancelling.run(seconds * 3 / 4)
    above = await at_rest(lambda: gauges(suite), rest)
    grown = [
        f"{name} grew from {warm[name] / 2**20:.0f} to {size / 2**20:.0f} MiB"
        for name, size in memory.resident(programs).items()
        if name in warm and size > memory.limit(name, warm[name])
    ]
    faults = [*above, *grown, *lost(before, await answered(sender, asked))]
    ends = ", ".join(f"{count:,} {end}" for end, count in cancelling.ends.most_common(8))
    measured = f"{len(cancelling.methods)} of {len(METHODS)} calls cancelled; {ends}"
    tried = len(cancelling.methods) > len(METHODS) / 2
    return Outcome(tried and not faults, "; ".join([measured, *faults[:5]]))
