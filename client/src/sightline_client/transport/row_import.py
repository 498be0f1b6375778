"""Import products row by row, in concurrent batches that are answered in order."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import grpc

from sightline.common.v1 import import_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline_client import errors
from sightline_client.convert import to_wire
from sightline_client.convert.reading import error
from sightline_client.errors import SightlineError
from sightline_client.transport import write_batches
from sightline_client.transport.calls import Calls
from sightline_client.transport.gateway_channel import MAX_MESSAGE_BYTES
from sightline_client.transport.pipeline import in_flight, patiently
from sightline_client.transport.threads import in_thread
from sightline_client.transport.write_batches import Batches, each, split
from sightline_client.values.products import Product
from sightline_client.values.reports import ImportBatch, ImportReport, RowFailure

S = TypeVar("S")
T = TypeVar("T")

MAX_ROWS = 100
BATCH_BYTES = 8 * 1024 * 1024
"""Maximum bytes of a batch; a larger product is sent alone. A few batches fit any memory."""
_LARGEST = MAX_MESSAGE_BYTES - 64 * 1024
_IN_HAND = 64
"""Number of rows that are read ahead at once."""
_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
"""Codes of rows without a final outcome: a retry may store them."""


@dataclass(frozen=True, slots=True)
class Line(Generic[S]):
    """Row of an import that is being sent."""

    number: int
    product: product_pb2.Product
    """Product to store. With an ``error``, only its id is used."""
    source: S
    """Source of the row, for reports."""
    error: SightlineError | None = None
    """Error of a row that can't be stored. The row is sent as a product without a title, which the
    suite rejects: so row numbers have no gap, and a FULL import does not delete the row's product.
    """

    @property
    def message(self) -> catalog_pb2.ImportRow:
        """Row as it is sent."""
        product = self.product
        if self.error is not None:
            product = product_pb2.Product(product_id=product.product_id[:128])
        return catalog_pb2.ImportRow(row_number=self.number, product=product)


@dataclass(frozen=True, slots=True)
class Decided(Generic[S]):
    """Outcome of a batch of rows."""

    lines: Sequence[Line[S]]
    errors: Sequence[SightlineError | None]
    """One for each line; None = stored."""
    state: import_pb2.ImportState
    index_token: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Sender of rows: target, and timeout of each batch."""

    calls: Calls
    catalog: str
    import_id: str
    timeout: float
    """Seconds for one call."""
    patience: float
    """Seconds for which a batch is retried while the suite is unavailable or busy."""
    report: Callable[[SightlineError, float], None] | None = None
    """Callback before every such wait, with the error and the seconds left."""

    async def send(self, lines: Sequence[Line[S]]) -> Decided[S]:
        """Send rows until each is stored or finally rejected. SightlineError when the suite stays
        unavailable."""
        results: dict[int, catalog_pb2.UpsertResult] = {}
        state, token = import_pb2.ImportState(), ""
        until = asyncio.get_running_loop().time() + self.patience
        waiting = list(lines)
        while waiting:
            with to_wire.sendable("import_id"):
                request = catalog_pb2.ImportProductsRequest(
                    catalog_id=self.catalog,
                    import_id=self.import_id,
                    rows=[line.message for line in waiting],
                )
            response = await patiently(
                partial(self.calls, self.calls.catalog.ImportProducts, request, self.timeout),
                self.patience,
                self.report,
            )
            errors.check_answered(len(waiting), len(response.results))
            results |= zip((line.number for line in waiting), response.results, strict=True)
            state, token = response.state, response.index_token or token
            waiting = [line for line in waiting if _passing(results[line.number])]
            if waiting:
                refusal = errors.from_status(results[waiting[0].number].status)
                left = until - asyncio.get_running_loop().time()
                if left < 0:
                    raise refusal
                if self.report is not None:
                    self.report(refusal, left)
                await asyncio.sleep(1)
        return Decided(lines, [_error(line, results[line.number]) for line in lines], state, token)


async def send_all(
    sender: Sender, lines: AsyncIterable[Line[S]], *, side_by_side: int
) -> AsyncIterator[Decided[S]]:
    """Send every line in batches and yield their outcomes, in order."""
    batches = split(
        lines,
        max_count=MAX_ROWS,
        max_bytes=BATCH_BYTES,
        size=lambda line: line.product.ByteSize() + 32,
        key=lambda line: str(line.number),
    )
    async for _, decided in in_flight(batches, sender.send, side_by_side):
        yield decided


def import_products(
    sender: Sender,
    products: Iterable[Product] | AsyncIterable[Product],
    *,
    after: int,
    side_by_side: int,
) -> Batches[ImportBatch, ImportReport]:
    """See ``SightlineClient.import_products``."""
    decided = send_all(sender, _lines(products, after), side_by_side=side_by_side)
    return Batches(_batches(decided), partial(write_batches.stored, report=ImportReport))


async def read_ahead(
    items: Iterator[T],
    weight: Callable[[T], int],
    place: AbstractAsyncContextManager[object] | None = None,
) -> AsyncGenerator[T, None]:
    """Yield the items of a blocking source, which a thread reads: up to 64, or 8 MiB by ``weight``,
    at a time. ``place``: is held while the thread reads, and not while items are used."""
    reading = place or nullcontext()

    def take() -> list[T]:
        taken: list[T] = []
        left = BATCH_BYTES
        for item in items:
            taken.append(item)
            left -= weight(item)
            if len(taken) == _IN_HAND or left <= 0:
                break
        return taken

    while True:
        async with reading:
            chunk = await in_thread(take)
        if not chunk:
            return
        for item in chunk:
            yield item


async def _lines(
    products: Iterable[Product] | AsyncIterable[Product], after: int
) -> AsyncIterator[Line[None]]:
    number = 0
    async for product in each(products):
        number += 1
        if number > after:
            yield _line(number, product)


def _line(number: int, product: Product) -> Line[None]:
    empty = product_pb2.Product()
    try:
        with to_wire.sendable("product"):
            empty.product_id = product.product_id
            message = to_wire.product(product)
    except SightlineError as refusal:
        return Line(number, empty, None, refusal)
    return Line(number, message, None, too_large(message))


def too_large(message: product_pb2.Product) -> SightlineError | None:
    """Return the error for a product that fits no message; None = it fits."""
    if message.ByteSize() <= _LARGEST:
        return None
    return write_batches.too_large()


async def _batches(decided: AsyncIterator[Decided[None]]) -> AsyncIterator[ImportBatch]:
    async for batch in decided:
        failures = tuple(
            RowFailure(line.number, line.product.product_id, refusal)
            for line, refusal in zip(batch.lines, batch.errors, strict=True)
            if refusal is not None
        )
        stored = len(batch.lines) - len(failures)
        yield ImportBatch(batch.lines[-1].number, stored, failures, batch.index_token)


def _passing(result: catalog_pb2.UpsertResult) -> bool:
    refusal = error(result.status)
    return refusal is not None and refusal.code in _PASSING


def _error(line: Line[S], result: catalog_pb2.UpsertResult) -> SightlineError | None:
    return error(result.status) if line.error is None else line.error
