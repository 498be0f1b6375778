"""Writers of products, offers and events in batches."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2

from sightline.common.v1 import event_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import SightlineError, check_answered, from_status
from sightline_client.transport.calls import Calls
from sightline_client.transport.gateway_channel import MAX_MESSAGE_BYTES
from sightline_client.transport.pipeline import in_flight
from sightline_client.transport.write_batches import Batches, each, split, stored, too_large
from sightline_client.values.catalog import Offer, UpsertOutcome
from sightline_client.values.events import Event
from sightline_client.values.products import Product
from sightline_client.values.reports import (
    EventBatch,
    EventFailure,
    EventReport,
    OfferBatch,
    OfferFailure,
    OfferReport,
    UpsertBatch,
    UpsertReport,
)

MAX_PRODUCTS = 100
MAX_EVENTS = 1000
MAX_OFFERS = 1000
_ENVELOPE_BYTES = 64 * 1024
"""Bytes reserved in a message for fields other than items."""
_ITEM_BYTES = 16
"""Maximum bytes of an item's tag and length."""

V = TypeVar("V")
M = TypeVar("M", bound=Message)
R = TypeVar("R")
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class _Prepared(Generic[M]):
    """Item to send, or the error of an item that can't be sent."""

    id: str
    message: M | None
    error: SightlineError | None = None

    @property
    def size(self) -> int:
        return 0 if self.message is None else self.message.ByteSize() + _ITEM_BYTES


@dataclass(frozen=True, slots=True)
class _Answered(Generic[M, R]):
    """Durable batch."""

    items: list[_Prepared[M]]
    response: R
    done: int
    """Number of items done so far, including these."""

    def failures(
        self, kind: Callable[[str, SightlineError], F], statuses: Iterable[status_pb2.Status]
    ) -> tuple[F, ...]:
        """Return the items that the suite rejected, then those that could not be sent."""
        sent = [item.id for item in self.items if item.message is not None]
        answers = zip(sent, statuses, strict=True)
        refused = (kind(name, from_status(status)) for name, status in answers if status.code)
        unsent = (kind(item.id, item.error) for item in self.items if item.error is not None)
        return (*refused, *unsent)


@dataclass(frozen=True, slots=True)
class BatchWriter:
    """Writer of batches: target, and timeout of each batch."""

    calls: Calls
    catalog: str
    timeout: float
    """Seconds for one call."""

    def products(
        self, products: Iterable[Product] | AsyncIterable[Product], batch_size: int
    ) -> Batches[UpsertBatch, UpsertReport]:
        """See ``SightlineClient.upsert_products``. ValueError for a size that no call takes."""

        async def send(messages: list[product_pb2.Product]) -> catalog_pb2.UpsertProductsResponse:
            request = catalog_pb2.UpsertProductsRequest(catalog_id=self.catalog, products=messages)
            response = await self.calls(self.calls.catalog.UpsertProducts, request, self.timeout)
            check_answered(len(messages), len(response.results))
            return response

        batches = _batches(products, _product_id, to_wire.product, _size(batch_size, MAX_PRODUCTS))
        nothing = catalog_pb2.UpsertProductsResponse()
        return Batches(_upserted(_answered(batches, send, nothing)), _upsert_report)

    def events(
        self, events: Iterable[Event] | AsyncIterable[Event], batch_size: int, side_by_side: int
    ) -> Batches[EventBatch, EventReport]:
        """See ``SightlineClient.write_events``. ValueError for a size that no call takes."""

        async def send(messages: list[event_pb2.Event]) -> user_event.WriteEventsResponse:
            request = user_event.WriteEventsRequest(catalog_id=self.catalog, events=messages)
            response = await self.calls(self.calls.events.WriteEvents, request, self.timeout)
            check_answered(len(messages), len(response.statuses))
            return response

        batches = _batches(
            events, lambda event: event.event_id, to_wire.event, _size(batch_size, MAX_EVENTS)
        )
        answered = _answered(batches, send, user_event.WriteEventsResponse(), side_by_side)
        return Batches(_written(answered), _event_report)

    def offers(
        self, offers: Iterable[Offer] | AsyncIterable[Offer], batch_size: int, market: str
    ) -> Batches[OfferBatch, OfferReport]:
        """See ``SightlineClient.update_offers``. ValueError for a size that no call takes."""

        async def send(messages: list[catalog_pb2.Offer]) -> catalog_pb2.UpdateOffersResponse:
            request = catalog_pb2.UpdateOffersRequest(
                catalog_id=self.catalog, offers=messages, market_id=market
            )
            response = await self.calls(self.calls.catalog.UpdateOffers, request, self.timeout)
            check_answered(len(messages), len(response.statuses))
            return response

        batches = _batches(offers, _product_id, to_wire.offer, _size(batch_size, MAX_OFFERS))
        answered = _answered(batches, send, catalog_pb2.UpdateOffersResponse())
        return Batches(_set(answered), partial(stored, report=OfferReport))


def _size(batch_size: int, most: int) -> int:
    if not 1 <= batch_size <= most:
        raise ValueError(f"batch_size is {batch_size}, not within 1 to {most}")
    return batch_size


async def _answered(
    batches: AsyncIterator[list[_Prepared[M]]],
    send: Callable[[list[M]], Awaitable[R]],
    nothing: R,
    side_by_side: int = 1,
) -> AsyncIterator[_Answered[M, R]]:
    """Yield each batch with its answer. ``nothing`` = the answer to a batch without an item to
    send."""

    async def sent(batch: list[_Prepared[M]]) -> R:
        messages = [item.message for item in batch if item.message is not None]
        return await send(messages) if messages else nothing

    done = 0
    async for batch, response in in_flight(batches, sent, side_by_side):
        done += len(batch)
        yield _Answered(batch, response, done)


async def _upserted(
    batches: AsyncIterator[_Answered[product_pb2.Product, catalog_pb2.UpsertProductsResponse]],
) -> AsyncIterator[UpsertBatch]:
    async for batch in batches:
        sent = map(from_wire.upsert_outcome, batch.response.results)
        outcomes = tuple(
            next(sent) if item.message is not None else UpsertOutcome(item.id, error=item.error)
            for item in batch.items
        )
        yield UpsertBatch(outcomes, batch.response.index_token, batch.done)


async def _written(
    batches: AsyncIterator[_Answered[event_pb2.Event, user_event.WriteEventsResponse]],
) -> AsyncIterator[EventBatch]:
    async for batch in batches:
        answer = batch.response
        failures = batch.failures(EventFailure, answer.statuses)
        counts = (answer.written_count, answer.duplicate_count)
        yield EventBatch(*counts, failures, batch.done, answer.withheld_count)


async def _set(
    batches: AsyncIterator[_Answered[catalog_pb2.Offer, catalog_pb2.UpdateOffersResponse]],
) -> AsyncIterator[OfferBatch]:
    async for batch in batches:
        failures = batch.failures(OfferFailure, batch.response.statuses)
        stored_count = len(batch.items) - len(failures)
        yield OfferBatch(stored_count, failures, batch.response.index_token, batch.done)


def _product_id(item: Product | Offer) -> str:
    return item.product_id


def _batches(
    values: Iterable[V] | AsyncIterable[V],
    id_of: Callable[[V], str],
    translate: Callable[[V], M],
    max_count: int,
) -> AsyncIterator[list[_Prepared[M]]]:
    return split(
        _prepared(values, id_of, translate),
        max_count=max_count,
        max_bytes=MAX_MESSAGE_BYTES - _ENVELOPE_BYTES,
        size=lambda item: item.size,
        key=lambda item: item.id,
    )


async def _prepared(
    values: Iterable[V] | AsyncIterable[V], id_of: Callable[[V], str], translate: Callable[[V], M]
) -> AsyncIterator[_Prepared[M]]:
    """Convert items to messages, and keep the error of an item that can't be sent: one invalid item
    must not fail the rest."""
    async for value in each(values):
        try:
            with to_wire.sendable(""):
                item = _Prepared(id_of(value), translate(value))
        except SightlineError as error:
            item = _Prepared(id_of(value), None, error)
        if item.size > MAX_MESSAGE_BYTES - _ENVELOPE_BYTES:
            item = _Prepared(item.id, None, too_large())
        yield item


async def _upsert_report(batches: AsyncIterator[UpsertBatch]) -> UpsertReport:
    stored, token = 0, ""
    failures: list[UpsertOutcome] = []
    async for batch in batches:
        refused = [outcome for outcome in batch.outcomes if outcome.error is not None]
        failures.extend(refused)
        stored += len(batch.outcomes) - len(refused)
        token = batch.index_token or token
    return UpsertReport(stored, tuple(failures), token)


async def _event_report(batches: AsyncIterator[EventBatch]) -> EventReport:
    written = duplicates = withheld = 0
    failures: list[EventFailure] = []
    async for batch in batches:
        written += batch.written_count
        duplicates += batch.duplicate_count
        withheld += batch.withheld_count
        failures.extend(batch.failures)
    return EventReport(written, duplicates, tuple(failures), withheld)
