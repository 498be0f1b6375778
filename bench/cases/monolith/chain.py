"""A bare chain of three hops, and the number of bytes that an answer moves in it.

caller → middle → retriever, ranker: each hop a grpc.aio process that does nothing. A call to a
service carries as many bytes as all calls of the suite's gateway to it for one answer.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from bench.cases.monolith import middle
from bench.cases.monolith.asking import LoadQuestion
from bench.cases.monolith.contenders import CHAIN, TIMEOUT, AnswerContender, bare, by_channel, right
from bench.harness import hop, processes
from bench.harness.serving import serving
from local_suite.health import grpc_serving
from local_suite.suite import Suite
from tests.engines import free_port

SERVICES = ("retriever", "ranker")
LOOKS = 5
"""Number of answers whose bytes are counted; the median is used."""
QUIET_SECONDS = 0.4
"""Seconds to wait for an answer's record, which is sent after the answer."""
START_SECONDS = 60.0
_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes that one answer moves between the hops."""

    request: int
    answer: int
    asked: tuple[int, ...]
    """Bytes of each of SERVICES, summed over its calls."""
    answered: tuple[int, ...]
    calls: tuple[int, ...]


# Number of bytes


@dataclass(slots=True)
class _Tap(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """A proxy that forwards every call unchanged and counts its bytes."""

    channel: grpc.aio.Channel
    seen: list[tuple[str, int, int]] = field(default_factory=list)
    """Method, bytes of the request, and bytes of the answer of each call."""

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        method = handler_call_details.method
        metadata = [
            (key, value)
            for key, value in handler_call_details.invocation_metadata
            if not key.startswith(("grpc-", ":", "user-agent", "te", "content-type"))
        ]

        async def on(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            call = bare(self.channel, method)(
                request, timeout=context.time_remaining(), metadata=metadata
            )
            try:
                answer: bytes = await call
            except grpc.aio.AioRpcError as error:
                trailing: Any = error.trailing_metadata()
                await context.abort(error.code(), error.details() or "", trailing)
            self.seen.append((method, len(request), len(answer)))
            return answer

        return grpc.unary_unary_rpc_method_handler(on)


async def counted(suite: Suite, asked: Mapping[str, Iterator[LoadQuestion]]) -> dict[str, Bytes]:
    """Return the bytes of answers to each kind of question, seen by a second gateway whose calls
    are tapped. Raise OSError when it does not start.
    """
    async with AsyncExitStack() as stack:
        taps, ports = [], []
        for name in SERVICES:
            channel = grpc.aio.insecure_channel(suite.addresses()[name], options=_LIMIT)
            tap = _Tap(await stack.enter_async_context(channel))
            server = grpc.aio.server(handlers=[tap], options=_LIMIT)
            ports.append(server.add_insecure_port("127.0.0.1:0"))
            await server.start()
            stack.push_async_callback(server.stop, None)
            taps.append(tap)
        port = free_port()
        starting = _gateway(suite, port, dict(zip(SERVICES, ports, strict=True)))
        process = stack.enter_context(starting)
        await _serving(process, port)
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_LIMIT)
        )
        return {kind: await _looked(taps, channel, source) for kind, source in asked.items()}


@contextmanager
def _gateway(suite: Suite, port: int, taps: Mapping[str, int]) -> Iterator[subprocess.Popen[bytes]]:
    program = suite.programs["gateway"]
    given = dict(program.environment)
    given |= {f"GATEWAY_{n.upper()}_TARGET": f"127.0.0.1:{at}" for n, at in taps.items()}
    given |= {"GATEWAY_PORT": str(port), "GATEWAY_METRICS_PORT": str(free_port())}
    with (suite.layout.logs / "counted-gateway.log").open("ab") as log:
        process = subprocess.Popen(
            program.command, cwd=program.folder, env=os.environ | given, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _serving(process: subprocess.Popen[bytes], port: int) -> None:
    ready = grpc_serving(port, "sightline.gateway.v1.RecommendationService")
    async with asyncio.timeout(START_SECONDS):
        # Its calls go through this process, so this thread must not block.
        while not await asyncio.to_thread(ready):
            if process.poll() is not None:
                raise OSError("a second gateway did not start")
            await asyncio.sleep(0.2)


_Seen = Sequence[tuple[str, int, int]]
"""Calls of one answer to one service: method, bytes of the request, bytes of the answer."""


async def _looked(
    taps: Sequence[_Tap], channel: grpc.aio.Channel, source: Iterator[LoadQuestion]
) -> Bytes:
    call, looks = by_channel(channel), list[tuple[int, int, Sequence[_Seen]]]()
    for number in range(LOOKS + 1):
        await asyncio.sleep(QUIET_SECONDS)
        for tap in taps:
            tap.seen.clear()
        question = next(source)
        answer = await call(question)
        await asyncio.sleep(QUIET_SECONDS)
        if number:  # the first one fills the caches
            seen = [list(tap.seen) for tap in taps]
            looks.append((len(question.message), len(answer), seen))
    return moved(looks)


def moved(looks: Sequence[tuple[int, int, Sequence[_Seen]]]) -> Bytes:
    """Return medians over answers: bytes of the request, of the answer and of each service."""

    def of(count: Callable[[_Seen], int]) -> tuple[int, ...]:
        return tuple(
            round(median(count(seen[service]) for *_, seen in looks))
            for service in range(len(SERVICES))
        )

    return Bytes(
        request=round(median(asked for asked, _, _ in looks)),
        answer=round(median(answered for _, answered, _ in looks)),
        asked=of(lambda seen: sum(asked for _, asked, _ in seen)),
        answered=of(lambda seen: sum(answered for _, _, answered in seen)),
        calls=of(len),
    )


# The chain


@contextmanager
def servers(folder: Path) -> Iterator[Mapping[int, int]]:
    """Start the chain's processes. Yield ports by process id, the first hop first."""
    with ExitStack() as running:

        def start(module: str, *arguments: int) -> tuple[int, int]:
            port = free_port()
            command = [sys.executable, "-m", module, str(port), *map(str, arguments)]
            ready = lambda: _open(port)  # noqa: E731
            return running.enter_context(serving(command, folder / "chain.log", ready)), port

        last = [start("bench.harness.hop") for _ in SERVICES]
        first = start("bench.cases.monolith.middle", *(port for _, port in last))
        yield dict([first, *last])


def _open(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
    return True


@asynccontextmanager
async def chain(
    ports: Mapping[int, int], sizes: Mapping[str, Bytes]
) -> AsyncIterator[AnswerContender]:
    """Yield the chain as a contender.

    Before each round it gets the bytes of an answer of that kind.
    """
    named = dict(zip(ports, ("first hop", *SERVICES), strict=True))
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            for port in ports.values()
        ]
        ask = bare(channels[0], middle.CALL)

        async def call(question: LoadQuestion) -> bytes:
            answer: bytes = await ask(question.message, timeout=TIMEOUT)
            return answer

        async def use(kind: str) -> None:
            first, *last = channels
            given = (sizes[kind].answer, *sizes[kind].asked)
            await bare(first, middle.KEEP)(" ".join(map(str, given)).encode())
            for channel, size in zip(last, sizes[kind].answered, strict=True):
                await bare(channel, hop.KEEP)(bytes(size))

        yield AnswerContender(CHAIN, call, lambda: processes.spent(named), right, use)
