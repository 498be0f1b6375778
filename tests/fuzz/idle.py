"""Streams that are opened and stay idle."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from sightline.common.v1.job_service_pb2 import WatchJobRequest
from tests.fuzz.callers import Callers
from tests.fuzz.model import FUZZ, Call, Outcome
from tests.fuzz.surface import named

MOST_OF_A_CONNECTION = 50
"""Streams of one address: half of all; docs/operate/limits.md."""
_CONNECTIONS = 4
_WATCHES_OF_JOBS = 10
_HEALTH = "/grpc.health.v1.Health/Watch"
_REOPEN_SECONDS = 1.0
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


class IdleStreams:
    """Idle streams: health watches, as many on one connection as on several, and a few job
    watches."""

    def __init__(self, count: int, newest_job: Callable[[], str]) -> None:
        """Set the number of health watches on one connection, and again on several, a multiple of
        4. `newest_job` returns the job to watch; empty: none yet."""
        self._count, self._newest_job = count, newest_job
        self._answered = 0
        self._ended: Counter[str] = Counter()
        self._jobs: Counter[str] = Counter()
        self._bad = 0

    @asynccontextmanager
    async def held(self, address: str, who: Callers, operators: str) -> AsyncIterator[None]:
        """Keep all streams open during the block, on connections of their own."""
        async with AsyncExitStack() as stack:

            async def connect(target: str) -> grpc.aio.Channel:
                made = grpc.aio.insecure_channel(target, options=_OWN_CONNECTION)
                return await stack.enter_async_context(made)

            one = await connect(address)
            several = [await connect(address) for _ in range(_CONNECTIONS)]
            channels = [one] * self._count + several * (self._count // _CONNECTIONS)
            tasks = [asyncio.create_task(self._watch(each)) for each in channels]
            jobs = await connect(operators)
            tasks += [asyncio.create_task(self._follow(jobs, who)) for _ in range(_WATCHES_OF_JOBS)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def decided(self) -> int:
        """Watches of health that were answered or refused."""
        return self._answered + self._ended["RESOURCE_EXHAUSTED"]

    def outcome(self) -> Outcome:
        """Return the outcome: held if each connection has as many open streams as allowed, and the
        others were rejected."""
        beyond = max(0, self._count - MOST_OF_A_CONNECTION)
        refused, ended = self._ended["RESOURCE_EXHAUSTED"], self._ended.total()
        open_ = 2 * self._count - ended
        jobs = ", ".join(f"{count} × {code}" for code, count in self._jobs.most_common())
        ends = ", ".join(f"{count} × {code}" for code, count in self._ended.most_common())
        measured = (
            f"{self._answered} watches of health answered and {open_} open to the end; on one "
            f"connection {refused} of {self._count} refused; ends: {ends or 'none'}; "
            f"watches of jobs: {jobs or 'no job'}"
        )
        right = open_ == self._answered == 2 * self._count - beyond and ended == refused
        return Outcome(right and not self._bad, measured)

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        """Watch health until the stream ends."""
        try:
            answers = aiter(channel.unary_stream(_HEALTH, None, None)(b""))
            await anext(answers)
            self._answered += 1
            await anext(answers)
            self._ended["said something"] += 1
        except grpc.aio.AioRpcError as error:
            self._ended[error.code().name] += 1
        except StopAsyncIteration:
            self._ended["OK"] += 1

    async def _follow(self, channel: grpc.aio.Channel, who: Callers) -> None:
        """Watch a job, and another one when that stream has ended."""
        while True:
            if job := self._newest_job():
                code = await self._followed(channel, who, job)
                self._jobs[code] += 1
                self._bad += code not in ("OK", "NOT_FOUND")
            await asyncio.sleep(_REOPEN_SECONDS)

    async def _followed(self, channel: grpc.aio.Channel, who: Callers, job: str) -> str:
        request = WatchJobRequest(catalog_id=FUZZ, job_id=job).SerializeToString()
        path = named("WatchJob").path
        headers = who.headers(Call(path, request, 0.0))
        try:
            async for _ in channel.unary_stream(path, None, None)(request, metadata=headers):
                pass
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"
