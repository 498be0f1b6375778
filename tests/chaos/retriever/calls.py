"""The retriever's calls, repeated until they are acknowledged as a patient shop would."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2

from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import index_service_pb2 as index_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import product_service_pb2_grpc
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1 import vector_service_pb2_grpc as vectors_grpc
from tests.chaos.model import NotMeasured
from tests.chaos.retriever.ledger import SPACE, values, vector
from tests.peer_stubs import peer_stub
from tests.waiting import until

ALLOWED = {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
"""Codes that a caller may meet while a process is killed: it tries again."""
_OURS = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION"}
"""Codes of a mistake in the scenario."""
CALL_SECONDS = 5.0
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.1

M = TypeVar("M", bound=Message)
Call = Callable[..., Awaitable[M]]


@dataclass
class Retriever:
    """Client of a suite's retriever that records its callers' errors."""

    channel: grpc.aio.Channel
    catalog: str
    met: Counter[str] = field(default_factory=Counter)
    """Errors by "CODE reason", whether they were allowed or not."""
    acknowledged: int = 0
    """Writes, in calls."""

    def __post_init__(self) -> None:
        self.products = peer_stub(
            "retriever", self.channel, product_service_pb2_grpc.ProductServiceStub
        )
        self.vectors = vectors_grpc.VectorServiceStub(self.channel)
        self.index = peer_stub("retriever", self.channel)

    @property
    def rude(self) -> dict[str, int]:
        """The errors that no caller may meet, whatever is killed."""
        return {what: n for what, n in self.met.items() if what.split()[0] not in ALLOWED}

    async def write(self, call: Call[M], request: Any) -> M:
        """Repeat a write until all of it is acknowledged. Raises NotMeasured."""
        answer = await self.ask(call, request, good=lambda found: all(map(_stored, found)))
        self.acknowledged += 1
        return answer

    async def ask(
        self,
        call: Call[M],
        request: Any,
        good: Callable[[Iterable[status_pb2.Status]], bool] = lambda _: True,
    ) -> M:
        """Repeat a call until it is answered, with item statuses that are `good`."""
        request.catalog_id = self.catalog
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                answer = await call(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code().name in _OURS:
                    raise
                self.met[said(error)] += 1
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if good(_statuses(answer)):
                return answer
            self.met.update(_said(status) for status in _statuses(answer) if status.code)
            await asyncio.sleep(PAUSE_SECONDS)
        raise NotMeasured(f"not answered within {PATIENCE_SECONDS:.0f} s: {dict(self.met)}")

    async def open_generation(self, version: str, dimension: int, *, activate: bool = True) -> None:
        """Open a generation of the version's name, whose vectors callers supply."""
        made = index_pb.CreateGenerationRequest(
            name=version, space=SPACE, space_version=version, dimension=dimension
        )
        await self.ask(self.index.CreateGeneration, made)
        if activate:
            asked = index_pb.ActivateGenerationRequest(name=version, force=True)
            await self.ask(self.index.ActivateGeneration, asked)

    async def stock(self, names: Sequence[str], versions: dict[str, int], brand: str = "") -> None:
        """Write products with vector 1 of each version, and wait until every generation has
        them."""
        for start in range(0, len(names), 100):
            some = names[start : start + 100]
            stock = gateway_pb.UpsertProductsRequest(
                products=[
                    product_pb2.Product(product_id=name, title=name, brand=brand) for name in some
                ]
            )
            await self.write(self.products.UpsertProducts, stock)
            given = vectors_pb.UpsertVectorsRequest()
            for name, (version, dimension) in itertools.product(some, versions.items()):
                made = vector(version, values(name, 1, dimension))
                given.vectors.add(product_id=name, vector=made)
            token = (await self.write(self.vectors.UpsertVectors, given)).index_token
        for version, dimension in versions.items():
            seen = vectors_pb.SearchRequest(
                vector=vector(version, values(names[0], 1, dimension)),
                generation=version,
                min_index_token=token,
            )
            await until(partial(self._answered_by_the_engine, seen))
        self.met.clear()
        self.acknowledged = 0

    async def _answered_by_the_engine(self, request: vectors_pb.SearchRequest) -> bool:
        """Return whether not the record answers in its place."""
        return not (await self.ask(self.vectors.Search, request)).degradations

    async def listed(self) -> list[product_pb2.Product]:
        """Return every product in the record."""
        request = products_pb.ListProductsRequest(page_size=1_000)
        found: list[product_pb2.Product] = []
        while True:
            page = await self.ask(self.products.ListProducts, request)
            found += page.products
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def counts(self, space: str) -> vectors_pb.CountResponse:
        """Return the numbers of products that record and index have in a space."""
        return await self.ask(self.vectors.Count, vectors_pb.CountRequest(space=space))

    async def open_writes(self, space: str) -> int:
        """Return the number of writes that the index lacks, as the retriever reports."""
        return int((await self.counts(space)).outbox)

    async def newest(self, space: str) -> str:
        """Return the token of the newest write in the index."""
        return str((await self.counts(space)).freshness.index_token)


def _statuses(answer: Any) -> Sequence[status_pb2.Status]:
    """Return the statuses of an answer's items, if it has any."""
    if hasattr(answer, "results"):
        return [result.status for result in answer.results]
    found: Sequence[status_pb2.Status] = getattr(answer, "statuses", ())
    return found


def _stored(status: status_pb2.Status) -> bool:
    return bool(status.code == code_pb2.OK)


def _said(status: status_pb2.Status) -> str:
    return f"{code_pb2.Code.Name(status.code)} {from_status(status).reason}"


def said(error: grpc.aio.AioRpcError) -> str:
    """Return an error as "CODE reason"."""
    return f"{error.code().name} {from_rpc_error(error).reason}"


async def outcome_of(call: Awaitable[object]) -> str:
    """Return the outcome of one call: OK, or "CODE reason"."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return said(error)
    return "OK"
