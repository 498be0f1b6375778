"""Clients that call the embedder continuously, and a ledger of their answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from servicekit.status import from_rpc_error
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from tests.chaos.model import NotMeasured
from tests.peer_stubs import peer_stub

WINES: Final = sorted(
    (Path(__file__).resolve().parents[3] / "examples/wines/images").glob("*.jpg")
)[:24]
TEXTS: Final = (
    "a bottle of red wine",
    "fresh milk in a carton",
    "running shoes for women",
    "a wooden kitchen table",
    "a charger for a phone",
    "a novel about the sea",
)
SERVICE: Final = "sightline.embedder.v1.EmbeddingService"
WHOLE: Final = ""
"""Outcome of a complete answer; any other outcome is a reason."""
BROKEN: Final = "broken: "
OTHER: Final = f"{BROKEN}another vector"
PAUSE_SECONDS: Final = 0.05
"""Pause between two requests of one client."""
GRACE_SECONDS: Final = 0.5
"""Seconds by which an answer may exceed its deadline, because this program shares the machine."""
CALM_SECONDS: Final = 1.5
"""Seconds without a fault after which the suite counts as recovered."""
PATIENCE_SECONDS: Final = 60.0
LISTEN_SECONDS: Final = 2.0
"""Deadline of ListSpaces, which reports the known states within it."""
ALIKE: Final = 0.95
"""Least cosine of an answer and what the same photo gave when all was well. What is added to a text
moves its vector: that of a text only has to be nearest to its own."""

ITEMS: Final = len(WINES) + len(TEXTS)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Got:
    """Outcome of one item; times by time.monotonic()."""

    asker: str
    began: float
    ended: float
    reason: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Asker:
    """Client that sends requests repeatedly."""

    name: str
    photos: int
    """Number of photos in one request."""
    seconds: float
    """Deadline."""
    bulk: bool = False
    texts: int = 0


SHOPPER: Final = Asker("shopper", 1, 4.0)
ASKERS: Final = (
    *(SHOPPER,) * 3,
    Asker("hurried", 1, 1.0),
    Asker("import", 8, 10.0, bulk=True),
    Asker("words", 0, 4.0, texts=2),
)


@dataclass(slots=True)
class Load:
    """Clients, their answers, and the readiness that the embedder reported meanwhile."""

    channel: grpc.aio.Channel
    signs: dict[str, float] = field(default_factory=dict)
    """Sign by version: 1, or -1 for a version whose vectors are the negated ones of the first."""
    got: list[Got] = field(default_factory=list)
    unready: list[float] = field(default_factory=list)
    """Times at which the embedder did not report ready."""
    reported: list[tuple[float, bool]] = field(default_factory=list)
    """Times of ListSpaces, and whether it reported that every inference succeeds."""
    _known: dict[int, Floats] = field(default_factory=dict)
    """Expected vectors of each photo by its number, followed by those of each text."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def learn(self) -> None:
        """Record the vector of each item in a healthy state. Raises NotMeasured."""
        until = time.monotonic() + PATIENCE_SECONDS
        while asked := [n for n in range(ITEMS) if n not in self._known]:
            if time.monotonic() > until:
                raise NotMeasured("the embedder does not embed")
            for number, result in await self._asked(Asker("first", len(asked), 20.0), asked):
                if not result.status.code:
                    if number < len(WINES):
                        self.signs.setdefault(result.vector.space_version, 1.0)
                    self._known[number] = np.frombuffer(result.vector.data, "<f4")

    @asynccontextmanager
    async def running(self, askers: Iterable[Asker] = ASKERS) -> AsyncIterator[None]:
        """Run all clients during the block."""
        tasks = [asyncio.create_task(self._asks(asker)) for asker in askers]
        tasks += [asyncio.create_task(self._watches()), asyncio.create_task(self._listens())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for each in ended:
            if isinstance(each, Exception):
                raise each

    async def calm(self, since: float) -> float:
        """Wait until all clients get complete answers for a while. Return the time of the last
        other one."""
        until = time.monotonic() + PATIENCE_SECONDS
        names = {asker.name for asker in ASKERS}
        while True:
            now = time.monotonic()
            bad = [each.ended for each in self.got if each.ended >= since and each.reason]
            last = max([since, *bad])
            recent = {each.asker for each in self.got if each.began > last}
            if names <= recent and now - last > CALM_SECONDS:
                return last
            if now > until:
                why = Counter(each.reason for each in self.got if each.ended > now - 5)
                raise NotMeasured(f"not well within {PATIENCE_SECONDS:.0f} s: {dict(why)}")
            await asyncio.sleep(0.05)

    async def _asks(self, asker: Asker) -> None:
        for turn in itertools.count():
            numbers = [(turn * 7 + n) % len(WINES) for n in range(asker.photos)]
            numbers += [len(WINES) + (turn + n) % len(TEXTS) for n in range(asker.texts)]
            began = time.monotonic()
            try:
                results = await self._asked(asker, numbers)
            except grpc.aio.AioRpcError as error:
                reason = from_rpc_error(error).reason or error.code().name
                late = time.monotonic() > began + asker.seconds + GRACE_SECONDS
                reason = f"{BROKEN}after its deadline" if late else reason
                self.got.append(Got(asker.name, began, time.monotonic(), reason))
            else:
                ended = time.monotonic()
                for number, result in results:
                    reason = self._judged(number, result)
                    if ended > began + asker.seconds + GRACE_SECONDS:
                        reason = f"{BROKEN}after its deadline"
                    version = result.vector.space_version
                    self.got.append(Got(asker.name, began, ended, reason, version))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _asked(
        self, asker: Asker, numbers: Sequence[int]
    ) -> list[tuple[int, pb.EmbedResult]]:
        """Ask once; each item is a new one, so that no cache answers in the model's place."""
        request = pb.BatchEmbedRequest(
            priority=vector_pb2.PRIORITY_BULK if asker.bulk else vector_pb2.PRIORITY_INTERACTIVE
        )
        for number in numbers:
            if number < len(WINES):
                request.items.add(image=WINES[number].read_bytes() + self._mark())
            else:
                text = TEXTS[number - len(WINES)]
                request.items.add(text=f"{text}, {self._mark().decode()}")
        stub = peer_stub("embedder", self.channel, EmbeddingServiceStub)
        response = await stub.BatchEmbed(request, timeout=asker.seconds)
        return list(zip(numbers, response.results, strict=True))

    def _mark(self) -> bytes:
        return b"%012d" % next(self._numbers)

    def _judged(self, number: int, result: pb.EmbedResult) -> str:
        """Return why an item has no vector; WHOLE if it has the right one."""
        if result.status.code:
            return _reason(result)
        vector = np.frombuffer(result.vector.data, "<f4")
        if number >= len(WINES):
            alike = {n: float(vector @ self._known[n]) for n in range(len(WINES), ITEMS)}
            return WHOLE if max(alike, key=lambda n: alike[n]) == number else OTHER
        sign = self.signs.get(result.vector.space_version)
        if sign is None:
            return f"{BROKEN}version {result.vector.space_version}"
        alike = float(vector @ self._known[number]) * sign
        return WHOLE if alike > ALIKE else OTHER

    async def _watches(self) -> None:
        """Note when the embedder does not call itself ready."""
        stub = health_pb2_grpc.HealthStub(self.channel)
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        serving = health_pb2.HealthCheckResponse.SERVING
        while True:
            try:
                ready = (await stub.Check(request, timeout=2.0)).status == serving
            except grpc.aio.AioRpcError:
                ready = False
            if not ready:
                self.unready.append(time.monotonic())
            await asyncio.sleep(0.2)

    async def _listens(self) -> None:
        """Record Triton's state in ListSpaces, from which GetStatus is computed."""
        stub = peer_stub("embedder", self.channel, EmbeddingServiceStub)
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                answer = await stub.ListSpaces(pb.ListSpacesRequest(), timeout=LISTEN_SECONDS)
                ready = all(space.ready for space in answer.spaces)
                self.reported.append((time.monotonic(), ready))
            await asyncio.sleep(0.3)


def _reason(result: pb.EmbedResult) -> str:
    for detail in result.status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return f"{BROKEN}an error without a reason"


def counted(got: Iterable[Got]) -> Mapping[str, int]:
    """Return the number of items by outcome."""
    return Counter(each.reason or "whole" for each in got)
