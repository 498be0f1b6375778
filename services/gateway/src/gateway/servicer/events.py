"""UserEventService on the wire: the ranker's EventService under the public contract."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

import time
from collections.abc import Sequence

import grpc
from prometheus_client import Counter

from gateway import tokens
from gateway.clients.calls import Caller
from gateway.servicer.requests import Context, admit, check_count
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import user_event_service_pb2 as pb
from sightline.gateway.v1 import user_event_service_pb2_grpc
from sightline.ranker.v1 import event_service_pb2 as ranker_pb
from sightline.ranker.v1 import event_service_pb2_grpc as ranker_grpc

NAME = "sightline.gateway.v1.UserEventService"
MOST_EVENTS = 1_000

ATTRIBUTIONS = Counter(
    "sightline_gateway_attributions_total",
    "Events with an attribution token, by whether it named an answer of their catalog.",
    ("outcome",),
)


class UserEventServicer(user_event_service_pb2_grpc.UserEventServiceServicer):
    """Passes events on to the ranker, which has them on disk before it answers."""

    def __init__(self, catalogs: Sequence[str], channel: grpc.aio.Channel, caller: Caller) -> None:
        self._catalogs = catalogs
        self._events = ranker_grpc.EventServiceStub(channel)
        self._caller = caller

    async def WriteEvents(
        self, request: pb.WriteEventsRequest, context: Context
    ) -> pb.WriteEventsResponse:
        """Write events."""
        catalog_id = admit(request, self._catalogs)
        check_count("events", len(request.events), MOST_EVENTS)
        for event in request.events:
            event.answer_id = _answer_of(event, catalog_id)
        answer: ranker_pb.AppendEventsResponse = await self._caller.call(
            self._events.AppendEvents,
            ranker_pb.AppendEventsRequest(
                catalog_id=catalog_id, request_id=request.request_id, events=request.events
            ),
        )
        return pb.WriteEventsResponse(
            statuses=answer.statuses,
            written_count=answer.written_count,
            duplicate_count=answer.duplicate_count,
        )

    async def MergeShopper(
        self, request: pb.MergeShopperRequest, context: Context
    ) -> pb.MergeShopperResponse:
        """Make a visitor a user."""
        passed = ranker_pb.MergeShopperRequest(
            catalog_id=admit(request, self._catalogs), request_id=request.request_id, to=request.to
        )
        # "from" is a word of Python: the field has to be asked for by name.
        getattr(passed, "from").CopyFrom(getattr(request, "from"))
        answer: ranker_pb.MergeShopperResponse = await self._caller.call(
            self._events.MergeShopper, passed
        )
        return pb.MergeShopperResponse(moved_count=answer.moved_count)

    async def PurgeEvents(
        self, request: pb.PurgeEventsRequest, context: Context
    ) -> pb.PurgeEventsResponse:
        """Count events, or start the job that deletes them."""
        passed = ranker_pb.PurgeEventsRequest(
            catalog_id=admit(request, self._catalogs),
            request_id=request.request_id,
            types=request.types,
            product_id=request.product_id,
            force=request.force,
        )
        # An absent condition must stay absent: an empty one would be another.
        if request.HasField("before_time"):
            passed.before_time.CopyFrom(request.before_time)
        if request.HasField("shopper"):
            passed.shopper.CopyFrom(request.shopper)
        answer: ranker_pb.PurgeEventsResponse = await self._caller.call(
            self._events.PurgeEvents, passed
        )
        return pb.PurgeEventsResponse(
            event_count=answer.event_count,
            first_event_time=answer.first_event_time if answer.event_count else None,
            last_event_time=answer.last_event_time if answer.event_count else None,
            job=answer.job if answer.HasField("job") else None,
        )


def _answer_of(event: event_pb2.Event, catalog_id: str) -> str:
    """The answer that the event's token names; empty = none. What the caller wrote is no matter."""
    if not event.attribution_token:
        return ""
    happened = event.event_time.seconds if event.HasField("event_time") else int(time.time())
    answer_id, outcome = tokens.answer_of(event.attribution_token, catalog_id, happened * 1_000_000)
    ATTRIBUTIONS.labels(outcome).inc()
    return answer_id
