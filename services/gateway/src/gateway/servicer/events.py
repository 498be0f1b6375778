"""UserEventService on the wire: the ranker's EventService under the public contract."""

import time
from collections.abc import Sequence

from prometheus_client import Counter

from gateway.servicer.passthrough import Passthrough
from gateway.servicer.requests import admit
from gateway.state import tokens
from servicekit.server import Context
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import user_event_service_pb2 as pb
from sightline.gateway.v1 import user_event_service_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["UserEventService"]

ATTRIBUTIONS = Counter(
    "sightline_gateway_attributions_total",
    "Events with an attribution token, by whether it named an answer of their catalog.",
    ("outcome",),
)


class UserEventServicer(user_event_service_pb2_grpc.UserEventServiceServicer):
    """Passes events on to the ranker, which has them on disk before it answers."""

    def __init__(self, catalogs: Sequence[str], passthrough: Passthrough) -> None:
        self._catalogs = catalogs
        self._append = passthrough.call(SERVICE, "WriteEvents")
        passthrough.serve(self, SERVICE)

    async def WriteEvents(
        self, request: pb.WriteEventsRequest, context: Context
    ) -> pb.WriteEventsResponse:
        """Write events."""
        catalog_id = admit(request, self._catalogs)
        for event in request.events:
            event.answer_id = _answer_of(event, catalog_id)
        answer: pb.WriteEventsResponse = await self._append(request)
        return answer


def _answer_of(event: event_pb2.Event, catalog_id: str) -> str:
    """The answer that the event's token names; empty = none. What the caller wrote is no matter."""
    if not event.attribution_token:
        return ""
    happened = event.event_time.seconds if event.HasField("event_time") else int(time.time())
    answer_id, outcome = tokens.answer_of(event.attribution_token, catalog_id, happened * 1_000_000)
    ATTRIBUTIONS.labels(outcome).inc()
    return answer_id
