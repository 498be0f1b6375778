"""EventService on the wire."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from google.type import money_pb2

from ranker.domain.errors import EventInvalid, EventTimeInvalid
from ranker.domain.events import DAY_MICROS, Event, EventType, Identity, StoredEvent
from ranker.domain.features import Money
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.sales import MOST_DAYS, MOST_PRODUCTS
from ranker.domain.searches import MOST_LISTED
from ranker.domain.selection import Selection, request_key
from ranker.events import export, purge
from ranker.events.intake import PLAIN, StoredTexts, append
from ranker.events.searches import FrequentSearches
from ranker.ports import EventSink
from ranker.record.events import EventRecord
from ranker.record.sales import SalesRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord
from ranker.servicer import requests
from ranker.servicer.messages import message_of
from servicekit.clock import now_micros
from servicekit.errors import FieldViolation, ServiceError
from servicekit.jobs.queue import Jobs
from servicekit.rpc.requests import (
    Pages,
    RequestInvalid,
    enter,
    timestamp,
)
from servicekit.rpc.server import Context
from servicekit.status import to_status
from sightline.common.v1 import event_pb2, job_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import event_service_pb2 as pb
from sightline.ranker.v1 import event_service_pb2_grpc
from sightline.ranker.v1.privacy_service_pb2 import ExportCountsRequest

MOST_EVENTS = 1000
DEFAULT_SEARCHES = 1_000
MOST_UNITS = 10**12
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""0001-01-01 to 9999-12-31, the range of a Timestamp."""

TYPES = {event_pb2.EventType.Value(f"EVENT_TYPE_{one.value}"): one for one in EventType}
NUMBERS = {one: number for number, one in TYPES.items()}
_EVENTS = Pages[StoredEvent](
    *(requests.DEFAULT_PAGE, requests.LARGEST_PAGE),
    lambda each: (each.event.time_micros or 0, each.sequence),
    (int, int),
)


@dataclass(eq=False)
class EventServicer(event_service_pb2_grpc.EventServiceServicer):
    catalogs: Collection[str]
    pseudonyms: Pseudonyms
    record: EventRecord
    sink: EventSink
    """Destination of received events: the record, or the log before it."""
    shoppers: ShopperRecord
    selections: SelectionRecord
    jobs: Jobs
    searches: FrequentSearches
    sales: SalesRecord
    impression_share: float = 1.0
    """Share of the answers whose impressions are stored, above 0, at most 1."""
    texts: StoredTexts = PLAIN

    async def WriteEvents(
        self, request: gateway_pb.WriteEventsRequest, context: Context
    ) -> gateway_pb.WriteEventsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        requests.check_range("events", len(request.events), 1, MOST_EVENTS)
        events = [_event(message) for message in request.events]
        done = await append(
            catalog_id,
            events,
            self.pseudonyms,
            self.sink.append,
            now_micros,
            impression_share=self.impression_share,
            texts=self.texts,
        )
        return gateway_pb.WriteEventsResponse(
            statuses=[to_status(error) if error else status_pb2.Status() for error in done.errors],
            written_count=done.written_count,
            duplicate_count=done.duplicate_count,
            withheld_count=done.withheld_count,
        )

    async def GetEvents(
        self,
        request: pb.GetEventsRequest,
        context: Context,
    ) -> pb.GetEventsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = requests.actor(request.shopper, catalog_id, self.pseudonyms, required=True) or ""
        page, token = await _EVENTS.read(
            *((f"events of {catalog_id}",), request.page_size, request.page_token),
            lambda place, limit: self.record.events_of(
                catalog_id, who, limit=limit, before=place or None
            ),
        )
        return pb.GetEventsResponse(events=map(_message, page), next_page_token=token)

    async def ListSearches(
        self, request: pb.ListSearchesRequest, context: Context
    ) -> pb.ListSearchesResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        limit = request.limit or DEFAULT_SEARCHES
        requests.check_range("limit", limit, 1, MOST_LISTED)
        found = await self.searches.of(catalog_id)
        return pb.ListSearchesResponse(
            searches=[
                pb.SearchCount(text=each.text, shopper_count=each.shoppers)
                for each in found.searches[:limit]
            ],
            least_shoppers=self.searches.floor,
            count_time=timestamp(found.time_micros),
        )

    async def CountSales(
        self, request: pb.CountSalesRequest, context: Context
    ) -> pb.CountSalesResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        requests.check_range("product_ids", len(request.product_ids), 1, MOST_PRODUCTS)
        requests.check_range("days", request.days, 1, MOST_DAYS)
        for product_id in request.product_ids:
            requests.check_product_id(product_id)
        today = now_micros() // DAY_MICROS
        found = await self.sales.sold(catalog_id, request.product_ids, today - request.days, today)
        return pb.CountSalesResponse(
            first_day=found.first_day,
            last_day=found.last_day,
            products=[
                pb.ProductSales(
                    first_day=each.first_day, days=each.units, units=each.units.values()
                )
                for each in found.products
            ],
        )

    async def MergeShopper(
        self, request: gateway_pb.MergeShopperRequest, context: Context
    ) -> gateway_pb.MergeShopperResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        # "from" is a keyword of Python: the field is read by name.
        visitor = self._named(catalog_id, "from", getattr(request, "from"), Identity.VISITOR)
        user = self._named(catalog_id, "to", request.to, Identity.USER)
        moved = await self.shoppers.merge(
            catalog_id, visitor, user, key_id=self.pseudonyms.key_id, now_micros=now_micros()
        )
        return gateway_pb.MergeShopperResponse(moved_count=moved)

    async def PurgeEvents(
        self, request: gateway_pb.PurgeEventsRequest, context: Context
    ) -> gateway_pb.PurgeEventsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        requests.check_request_id(request.request_id)
        selection = await self._selection(catalog_id, request)
        counted = await self.selections.count(selection)
        answer = gateway_pb.PurgeEventsResponse(event_count=counted.event_count)
        if counted.first_micros is not None and counted.last_micros is not None:
            answer.first_event_time.CopyFrom(timestamp(counted.first_micros))
            answer.last_event_time.CopyFrom(timestamp(counted.last_micros))
        if request.force:
            job = await self.jobs.create(
                purge.PURGE,
                catalog_id,
                purge.params(selection, counted, now_micros() if self.sink.deferred else None),
                request_key(request.request_id, selection),
            )
            answer.job.CopyFrom(requests.job_message(job))
        return answer

    async def ExportEvents(self, request: pb.ExportEventsRequest, context: Context) -> job_pb2.Job:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        requests.check_request_id(request.request_id)
        extent = Selection(
            catalog_id=catalog_id,
            from_micros=time_of(request, "from_time"),
            before_micros=time_of(request, "before_time"),
            types=types_of(request),
            last_sequence=await self.selections.last_sequence(catalog_id),
        )
        shown = {"order_ids": request.include_order_ids, "queries": request.include_queries}
        key = request_key(request.request_id, extent, *(name for name in shown if shown[name]))
        job = await self.jobs.create(
            export.EXPORT, catalog_id, export.params_of(extent, **shown), key
        )
        return requests.job_message(job)

    def _named(self, catalog_id: str, path: str, message: event_pb2.Shopper, kind: Identity) -> str:
        """Return the pseudonym of the shopper, who must be of this kind; RequestInvalid."""
        who = requests.shopper(message)
        if who is None or who.kind is not kind:
            problem = f"is required: a {Identity.VISITOR} becomes a {Identity.USER}"
            raise RequestInvalid(FieldViolation(f"{path}.{kind}_id", problem))
        requests.check_shopper(path, who)
        return self.pseudonyms.of(catalog_id, who)

    async def _selection(
        self, catalog_id: str, request: gateway_pb.PurgeEventsRequest
    ) -> Selection:
        """Return the selection; RequestInvalid, also without any condition."""
        given = bool(request.types or request.product_id)
        if not (given or request.HasField("before_time") or request.HasField("shopper")):
            conditions = ("before_time", "types", "product_id", "shopper")
            problem = "give at least one of " + ", ".join(conditions)
            raise RequestInvalid(*(FieldViolation(path, problem) for path in conditions))
        if request.product_id:
            requests.check_product_id(request.product_id)
        who = ""
        if request.HasField("shopper"):
            who = requests.actor(request.shopper, catalog_id, self.pseudonyms, required=True) or ""
            who = await self.selections.owner(catalog_id, who)
        return Selection(
            catalog_id=catalog_id,
            before_micros=time_of(request, "before_time"),
            types=types_of(request),
            product_id=request.product_id,
            actor=who,
        )


def time_of(
    request: gateway_pb.PurgeEventsRequest | pb.ExportEventsRequest | ExportCountsRequest,
    field: Literal["from_time", "before_time"],
) -> int | None:
    """Return the field's time in microseconds since 1970. Raise RequestInvalid."""
    if not request.HasField(field):  # type: ignore[arg-type]
        return None
    try:
        return _micros(getattr(request, field))
    except EventTimeInvalid:
        problem = "must be a time of the years 1 to 9999"
        raise RequestInvalid(FieldViolation(field, problem)) from None


def types_of(
    request: gateway_pb.PurgeEventsRequest | pb.ExportEventsRequest | ExportCountsRequest,
) -> tuple[EventType, ...]:
    """Return the types of the request, sorted. Raise RequestInvalid."""
    for place, number in enumerate(request.types):
        if number not in TYPES:
            raise RequestInvalid(FieldViolation(f"types[{place}]", "is not a type of event"))
    return tuple(sorted({TYPES[number] for number in request.types}))


def _event(message: event_pb2.Event) -> Event | ServiceError:
    """Return the event of the message, or the error by which it is rejected."""
    try:
        return Event(
            event_id=message.event_id,
            shopper=requests.shopper(message.shopper),
            type=TYPES.get(message.type),
            product_id=message.product_id,
            session_id=message.session_id,
            time_micros=_micros(message.event_time) if message.HasField("event_time") else None,
            value=message.value if message.HasField("value") else None,
            quantity=message.quantity,
            unit_price=_money(message.unit_price) if message.HasField("unit_price") else None,
            order_id=message.order_id,
            position=message.position,
            scene=message.scene,
            attribution_token=message.attribution_token,
            query=message.query,
            answer_id=message.answer_id,
            arm=message.arm,
            unproven=message.unproven,
            new_visitor=message.new_visitor,
        )
    except ServiceError as error:
        return error


def _micros(time: Timestamp) -> int:
    if not (FIRST_SECOND <= time.seconds <= LAST_SECOND and 0 <= time.nanos < 10**9):
        raise EventTimeInvalid.at("event_time", "must be a time of the years 1 to 9999")
    return time.seconds * 1_000_000 + time.nanos // 1000


def _money(money: money_pb2.Money) -> Money:
    if abs(money.units) > MOST_UNITS or abs(money.nanos) >= 10**9 or money.nanos % 1000:
        problem = f"is not within ±{MOST_UNITS} or has more than six decimals"
        raise EventInvalid.at("unit_price", problem)
    if money.units * money.nanos < 0:
        raise EventInvalid.at("unit_price", "has units and nanos of opposite signs")
    return Money(money.units * 1_000_000 + money.nanos // 1000, money.currency_code)


def _message(stored: StoredEvent) -> event_pb2.Event:
    return message_of(event_pb2.Event, stored.event, receive_time=stored.received_micros)
