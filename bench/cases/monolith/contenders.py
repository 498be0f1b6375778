"""The contenders: a suite over gRPC, the monolith over HTTP, and a chain of empty hops.

The clients are minimal and equal: they send prepared bytes and receive bytes, which are parsed
after the clock has stopped.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import grpc

from bench.cases.monolith.asking import FIND, PAGE_SIZE, LoadQuestion, Questions
from bench.harness import processes
from bench.harness.machine import ROOT
from bench.harness.serving import ServerRefused, serving
from bench.peers import environments
from local_suite.health import http_ok
from local_suite.processes import marked
from local_suite.suite import Suite
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from tests.engines import free_port

Call: TypeAlias = Callable[[LoadQuestion], Awaitable[bytes]]
_Link: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SUITE, ONE, CHAIN = "the suite", "the suite in one process", "bare chain of three hops"
TIMEOUT = 20.0
SERVER = ROOT / "bench/peers/monolith"
SERVER_PYTHON = SERVER / ".venv/bin/python"
_MODELS = ROOT / "deploy/triton/models"
_ENVIRONMENT = {
    "PYTHONPATH": ":".join(
        str(ROOT / part) for part in ("services/embedder/src", "kit/src", "rules/src")
    ),
    "EMBEDDING_GRAPH": str(_MODELS / "efficientnet_lite0/1/model.onnx"),
    "TEXT_GRAPH": str(_MODELS / "minilm_l6_v2/1/model.onnx"),
    "TOKENIZER": str(_MODELS / "minilm_l6_v2/tokenizer.json"),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # As in the suite's services: freed memory is kept for the next photo.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}


@dataclass(frozen=True, slots=True)
class AnswerContender:
    """A system that answers requests."""

    name: str
    call: Call
    spent: Callable[[], Mapping[str, float]]
    """Processor seconds so far, by process."""
    check: Callable[[LoadQuestion, bytes], Counter[str]]
    """Returns the faults of an answer; empty if there are none."""
    prepare: Callable[[str], Awaitable[None]] | None = None
    """Called with the kind of request before each round of it."""
    questions: Questions | None = None
    """Requests of this contender; None: those of all others."""


def environment() -> str:
    """Make the monolith's environment. Return the error, or an empty text."""
    return environments.made(SERVER)


# The suite


@asynccontextmanager
async def suite(
    started: Suite, name: str = SUITE, questions: Questions | None = None
) -> AsyncIterator[AnswerContender]:
    """Yield a running suite as a contender, by its gateway."""
    async with grpc.aio.insecure_channel(started.addresses()["gateway"]) as channel:
        call = by_channel(channel)
        yield AnswerContender(name, call, spending(started), wrong_message, questions=questions)


def spending(started: Suite) -> Callable[[], Mapping[str, float]]:
    """Return a function that reads a suite's processor time by process."""
    named = {status.pid: status.name for status in started.status() if status.pid}
    return partial(processes.spent, named, marked(started.layout.data))


def by_channel(channel: grpc.aio.Channel, metadata: Sequence[tuple[str, str]] = ()) -> Call:
    """Return a call that sends bytes to a gRPC server and receives bytes."""
    methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    async def call(question: LoadQuestion) -> bytes:
        method = methods.get(question.method)
        if method is None:
            method = methods.setdefault(question.method, bare(channel, question.method))
        try:
            answer: bytes = await method(
                question.message, timeout=TIMEOUT, metadata=tuple(metadata)
            )
        except grpc.aio.AioRpcError as error:
            return FailedAnswer(error.code().name.encode())
        return answer

    return call


class FailedAnswer(bytes):
    """Status of a failed call, instead of its answer."""


def bare(
    channel: grpc.aio.Channel, method: str
) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    """Return a method without serialization."""
    return channel.unary_unary(method, request_serializer=None, response_deserializer=None)


def wrong_message(question: LoadQuestion, answer: bytes) -> Counter[str]:
    """Count the faults of a gateway's answer: missing products, and degradations."""
    if isinstance(answer, FailedAnswer):
        return Counter([answer.decode()])
    read = rec.SearchResponse if question.method == FIND else rec.RecommendResponse
    message = read.FromString(answer)
    causes = (type(loss).Cause.Name(loss.cause) for loss in message.degradations)
    found = Counter(causes)
    if not question.least <= len(message.results) <= PAGE_SIZE:
        found[f"{len(message.results)} products"] += 1
    return found


def right(_question: LoadQuestion, _answer: bytes) -> Counter[str]:
    """Accept any answer."""
    return Counter()


# The monolith


def monolith(workers: int) -> str:
    """Return the monolith's name with so many processes."""
    return f"monolith, {workers} process{'es' if workers > 1 else ''}"


@contextmanager
def monolith_servers(folder: Path, workers: int, threads: int) -> Iterator[Mapping[int, int]]:
    """Run `workers` processes, each on a port of its own. Yield process ids and ports."""
    with ExitStack() as running:
        ports = {}
        for number in range(workers):
            port = free_port()
            given = _ENVIRONMENT | {"THREADS": str(threads)}
            command = [str(SERVER_PYTHON), "app.py", str(folder), str(port)]
            log = folder / f"server-{workers}-{number}.log"
            ready = http_ok(port, "/openapi.json")
            pid = running.enter_context(serving(command, log, ready, given, SERVER))
            ports[pid] = port
        yield ports


@asynccontextmanager
async def monolith_at(ports: Mapping[int, int]) -> AsyncIterator[AnswerContender]:
    """Yield the monolith's processes as a contender.

    Connections are divided evenly, as by a load balancer without cost.
    """
    named = {pid: f"process {number}" for number, pid in enumerate(ports, 1)}
    links = _Links(tuple(ports.values()))
    yield AnswerContender(
        monolith(len(ports)), links.call, lambda: processes.spent(named), wrong_json
    )
    links.close()


class _Links:
    """Persistent connections: to each port as many as are in use at once."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports, self._idle = ports, list[_Link]()
        self._made = 0

    async def call(self, question: LoadQuestion) -> bytes:
        reader, writer = link = self._idle.pop(0) if self._idle else await self._open()
        writer.write(question.http)
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        place = lower.index(b"content-length:") + 15
        length = int(lower[place : lower.index(b"\r\n", place)])
        body = await reader.readexactly(length)
        if head.split(None, 2)[1] != b"200":
            raise ServerRefused(f"the monolith refused: {body[:200]!r}")
        self._idle.append(link)
        return body

    async def _open(self) -> _Link:
        port = self._ports[self._made % len(self._ports)]
        self._made += 1
        return await asyncio.open_connection("127.0.0.1", port)

    def close(self) -> None:
        for _, writer in self._idle:
            with suppress(OSError):
                writer.close()


def wrong_json(_question: LoadQuestion, answer: bytes) -> Counter[str]:
    """Count the missing products of the monolith's answer."""
    count = len(json.loads(answer)["results"])
    return Counter() if count == PAGE_SIZE else Counter([f"{count} products"])
