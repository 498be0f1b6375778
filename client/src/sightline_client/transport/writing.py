"""Writes products and events batch by batch."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import SightlineError, check_answered, invalid
from sightline_client.transport.batching import Batches, split
from sightline_client.transport.calls import Calls
from sightline_client.transport.channel import MAX_MESSAGE_BYTES
from sightline_client.transport.pipeline import in_flight
from sightline_client.values.catalog import (
    Offer,
    OfferBatch,
    OfferFailure,
    OfferReport,
    Product,
    UpsertBatch,
    UpsertOutcome,
    UpsertReport,
)
from sightline_client.values.events import Event, EventBatch, EventFailure, EventReport

MAX_PRODUCTS = 100
MAX_EVENTS = 1000
MAX_OFFERS = 1000
_ENVELOPE_BYTES = 64 * 1024
"""Kept free in a message for what is not an item."""
_ITEM_BYTES = 16
"""At most what an item costs beside itself: its tag and length."""

V = TypeVar("V")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class _Prepared(Generic[M]):
    """One item as it will be sent, or why it can't be."""

    id: str
    message: M | None
    error: SightlineError | None = None

    @property
    def size(self) -> int:
        return 0 if self.message is None else self.message.ByteSize() + _ITEM_BYTES


def upsert_products(
    calls: Calls,
    catalog: str,
    products: Iterable[Product] | AsyncIterable[Product],
    timeout: float,
    batch_size: int,
) -> Batches[UpsertBatch, UpsertReport]:
    """See ``SightlineClient.upsert_products``. ValueError for a batch size that no call takes."""
    _check_size(batch_size, MAX_PRODUCTS)
    return Batches(_upsert(calls, catalog, products, timeout, batch_size), _upsert_report)


def write_events(  # noqa: PLR0917
    calls: Calls,
    catalog: str,
    events: Iterable[Event] | AsyncIterable[Event],
    timeout: float,
    batch_size: int,
    side_by_side: int = 1,
) -> Batches[EventBatch, EventReport]:
    """See ``SightlineClient.write_events``. ValueError for a batch size that no call takes."""
    _check_size(batch_size, MAX_EVENTS)
    batches = _batches(events, _event_id, to_wire.event, batch_size)
    return Batches(_write(calls, catalog, batches, timeout, side_by_side), _event_report)


def update_offers(
    calls: Calls,
    catalog: str,
    offers: Iterable[Offer] | AsyncIterable[Offer],
    timeout: float,
    batch_size: int,
) -> Batches[OfferBatch, OfferReport]:
    """See ``SightlineClient.update_offers``. ValueError for a batch size that no call takes."""
    _check_size(batch_size, MAX_OFFERS)
    batches = _batches(offers, _offer_id, to_wire.offer, batch_size)
    return Batches(_update(calls, catalog, batches, timeout), _offer_report)


def _check_size(batch_size: int, most: int) -> None:
    if not 1 <= batch_size <= most:
        raise ValueError(f"batch_size is {batch_size}, not within 1 to {most}")


async def _upsert(
    calls: Calls,
    catalog: str,
    products: Iterable[Product] | AsyncIterable[Product],
    timeout: float,
    batch_size: int,
) -> AsyncIterator[UpsertBatch]:
    done = 0
    async for batch in _batches(products, _product_id, to_wire.product, batch_size):
        messages = [item.message for item in batch if item.message is not None]
        request = catalog_pb2.UpsertProductsRequest(catalog_id=catalog, products=messages)
        etags = any(product.etag for product in messages)
        service = calls.catalog_once if etags else calls.catalog
        response = (
            await calls(service.UpsertProducts, request, timeout)
            if messages
            else catalog_pb2.UpsertProductsResponse()
        )
        check_answered(len(messages), len(response.results))
        sent = iter(tuple(map(from_wire.upsert_outcome, response.results)))
        outcomes = tuple(
            next(sent) if item.message is not None else UpsertOutcome(item.id, error=item.error)
            for item in batch
        )
        done += len(batch)
        yield UpsertBatch(outcomes, response.index_token, done)


async def _write(
    calls: Calls,
    catalog: str,
    batches: AsyncIterator[list[_Prepared[event_pb2.Event]]],
    timeout: float,
    side_by_side: int,
) -> AsyncIterator[EventBatch]:
    async def send(
        batch: list[_Prepared[event_pb2.Event]],
    ) -> user_event.WriteEventsResponse:
        messages = [item.message for item in batch if item.message is not None]
        request = user_event.WriteEventsRequest(catalog_id=catalog, events=messages)
        response = (
            await calls(calls.events.WriteEvents, request, timeout)
            if messages
            else user_event.WriteEventsResponse()
        )
        check_answered(len(messages), len(response.statuses))
        return response

    done = 0
    async for batch, response in in_flight(batches, send, side_by_side):
        done += len(batch)
        sent = [item.id for item in batch if item.message is not None]
        answered = from_wire.event_batch(sent, response, done)
        unsent = tuple(EventFailure(item.id, item.error) for item in batch if item.error)
        yield EventBatch(
            answered.written_count, answered.duplicate_count, (*answered.failures, *unsent), done
        )


async def _update(
    calls: Calls,
    catalog: str,
    batches: AsyncIterator[list[_Prepared[catalog_pb2.Offer]]],
    timeout: float,
) -> AsyncIterator[OfferBatch]:
    done = 0
    async for batch in batches:
        messages = [item.message for item in batch if item.message is not None]
        request = catalog_pb2.UpdateOffersRequest(catalog_id=catalog, offers=messages)
        response = (
            await calls(calls.catalog.UpdateOffers, request, timeout)
            if messages
            else catalog_pb2.UpdateOffersResponse()
        )
        check_answered(len(messages), len(response.statuses))
        done += len(batch)
        sent = [item.id for item in batch if item.message is not None]
        answered = from_wire.offer_batch(sent, response, done)
        unsent = tuple(OfferFailure(item.id, item.error) for item in batch if item.error)
        yield OfferBatch(
            answered.stored_count, (*answered.failures, *unsent), answered.index_token, done
        )


def _product_id(product: Product) -> str:
    return product.product_id


def _event_id(event: Event) -> str:
    return event.event_id


def _offer_id(offer: Offer) -> str:
    return offer.product_id


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
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield _prepare(value, id_of, translate)
    else:
        for value in values:
            yield _prepare(value, id_of, translate)


def _prepare(value: V, id_of: Callable[[V], str], translate: Callable[[V], M]) -> _Prepared[M]:
    """One bad item must not fail the rest: what can't be sent is kept with its error."""
    try:
        with to_wire.sendable(""):
            item = _Prepared(id_of(value), translate(value))
    except SightlineError as error:
        return _Prepared(id_of(value), None, error)
    if item.size > MAX_MESSAGE_BYTES - _ENVELOPE_BYTES:
        too_large = invalid(
            "images",
            "over 32 MiB in one message: write the product with fewer photos, or name photos that"
            " the catalogue holds by image_id",
            reason="PRODUCT_TOO_LARGE",
        )
        return _Prepared(item.id, None, too_large)
    return item


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
    written = duplicates = 0
    failures: list[EventFailure] = []
    async for batch in batches:
        written += batch.written_count
        duplicates += batch.duplicate_count
        failures.extend(batch.failures)
    return EventReport(written, duplicates, tuple(failures))


async def _offer_report(batches: AsyncIterator[OfferBatch]) -> OfferReport:
    stored, token = 0, ""
    failures: list[OfferFailure] = []
    async for batch in batches:
        stored += batch.stored_count
        failures.extend(batch.failures)
        token = batch.index_token or token
    return OfferReport(stored, tuple(failures), token)
